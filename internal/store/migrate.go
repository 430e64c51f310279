package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"
	versions "github.com/pressly/goose/v3/database"
)

//go:embed migrations
var migrations embed.FS

// ownVersion is the table in which goose keeps which migrations were made.
const ownVersion = "onebeat_schema"

// EnsureOwn makes or upgrades the tables of onebeat's own, and no other.
func (s *Store) EnsureOwn(ctx context.Context) error {
	if err := s.own(ctx); err != nil {
		return fmt.Errorf("make onebeat's own tables: %w", err)
	}
	return s.identify(ctx)
}

// upgrade makes the migrations that the database lacks.
func upgrade(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, path.Join("migrations", folder))
	if err != nil {
		return err
	}
	kept, err := versions.NewStore(dialect, ownVersion)
	if err != nil {
		return err
	}
	options = append(options, goose.WithStore(kept), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider("", db, files, options...)
	if err != nil {
		return err
	}
	if pending, err := provider.HasPending(ctx); err != nil || !pending {
		return err // and nothing was locked: most starts find all in place
	}
	_, err = provider.Up(ctx)
	return err
}
