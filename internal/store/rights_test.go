package store_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/store"
)

// A user who may read all and write nothing is told from one who may.
func TestRightsAreThoseOfTheUser(t *testing.T) {
	db := freshPostgres(t)
	owner, err := store.Open(t.Context(), db.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if err := errors.Join(owner.Migrate(t.Context()), owner.Rights(t.Context())); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	role := "reader_of_" + strings.Trim(at.Path, "/")
	db.Exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'reads'")
	defer func() {
		db.Exec(t, "DROP OWNED BY "+role)
		db.Exec(t, "DROP ROLE "+role)
	}()
	db.Exec(t, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+role)
	at.User = url.UserPassword(role, "reads")
	reader, err := store.Open(t.Context(), at.String(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	refused := new(store.RightsError)
	if err := reader.Rights(t.Context()); !errors.As(err, &refused) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Rights of a user who may only read: %v, want one line of a RightsError", err)
	}
	if got := db.Query(t, "SELECT count(*)::text FROM onebeat_meta WHERE key = 'rights'")[0]; got != "0" {
		t.Errorf("Rights left %s rows", got)
	}
}
