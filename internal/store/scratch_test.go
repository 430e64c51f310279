package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/store"
)

// A scratch database is empty, can be filled, and leaves nothing behind.
func TestScratch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "theirs.db")
	for _, tt := range []struct{ name, url string }{
		{"postgres", os.Getenv("ONEBEAT_TEST_POSTGRES")},
		{"mysql", os.Getenv("ONEBEAT_TEST_MARIADB")},
		{"sqlite", "sqlite:///" + file},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.url == "" {
				t.Fatal("no server: run the tests with `make test`, or `make stack` first")
			}
			ctx := t.Context()
			name := "onebeat_scratch_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
			interrupted, cancel := context.WithCancel(ctx)
			cancel() // a Ctrl-C leaves nothing that its caller does not know of
			scratch, err := store.NewScratch(interrupted, tt.url, name)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = scratch.Drop(context.WithoutCancel(ctx)) }() // again after the test's own, where it did not fail
			if !strings.Contains(scratch.URL, name) {
				t.Errorf("the URL does not name %s", name)
			}
			s, err := store.Open(ctx, scratch.URL, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			if rows, err := s.List(ctx); err != nil || len(rows) != 0 {
				t.Errorf("a new scratch database has %d entries, %v", len(rows), err)
			}
			if err := s.Name(ctx, name); err != nil || s.Installation() != name {
				t.Errorf("Name = %v, the installation is %s, want %s", err, s.Installation(), name)
			}
			again, err := store.Open(ctx, scratch.URL, store.Options{Missing: store.MissingRefused})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.EnsureOwn(ctx); err != nil {
				t.Fatal(err)
			}
			if again.Installation() != name {
				t.Errorf("opened again the installation is %s, want %s", again.Installation(), name)
			}
			again.Close()
			definitions := make([]store.Definition, 5001)
			for i := range definitions {
				definitions[i] = store.Definition{Name: "a", Task: "t", Spec: "* * * * *", Args: `["ä\"", 1]`, Options: `{"queue": "q"}`}
			}
			if err := s.Fill(ctx, definitions); err != nil {
				t.Fatal(err)
			}
			rows, err := s.List(ctx)
			if err != nil || len(rows) != len(definitions) {
				t.Fatalf("%d entries after Fill, %v, want %d", len(rows), err, len(definitions))
			}
			if got := rows[5000]; got.State != store.Active || got.Args != definitions[0].Args || got.Options != definitions[0].Options {
				t.Errorf("an entry after Fill is %+v, want one of %+v", got, definitions[0])
			}
			s.Close()
			if err := scratch.Drop(ctx); err != nil {
				t.Fatal(err)
			}
			if s, err := store.Open(ctx, scratch.URL, store.Options{Missing: store.MissingRefused}); err == nil {
				s.Close()
				t.Error("the database is still there after Drop")
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(left) > 0 {
		t.Errorf("beside the file is left %q, %v", left, err)
	}
}

func TestScratchErrorsShowNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://u:s3cret@127.0.0.1:1/d", "mysql://u:s3cret@127.0.0.1:1/d", "postgres://u:s3cret@h:port/d", "sqlite:////nowhere/at/all.db"} {
		scratch, err := store.NewScratch(t.Context(), url, "onebeat_scratch")
		if err == nil {
			_ = scratch.Drop(t.Context())
			t.Fatalf("NewScratch(%s) succeeded", url)
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("NewScratch = %v, want one line without the password", err)
		}
	}
}
