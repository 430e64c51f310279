package store_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/store/storetest"
)

func TestRightsAreThoseOfTheUser(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		testRights(t, freshPostgres(t), func(user string) (makes, drops []string) {
			return []string{"CREATE ROLE " + user + " LOGIN PASSWORD 'reads'"}, []string{"DROP OWNED BY " + user, "DROP ROLE " + user}
		})
	})
	t.Run("MySQL", func(t *testing.T) {
		testRights(t, freshMySQL(t), func(user string) (makes, drops []string) {
			return []string{"CREATE USER " + user + " IDENTIFIED BY 'reads'"}, []string{"DROP USER " + user}
		})
	})
}

// A user who may read all and write nothing is told from one who may, and so is one who may not write last runs where
// they are to be kept.
func testRights(t *testing.T, db storetest.Database, user func(name string) (makes, drops []string)) {
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
	name := "r" + strings.Trim(at.Path, "/")
	name = name[:min(len(name), 32)] // as MySQL takes it
	makes, drops := user(name)
	defer func() {
		for _, text := range drops {
			db.Exec(t, text)
		}
	}()
	for _, text := range makes {
		db.Exec(t, text)
	}
	at.User = url.UserPassword(name, "reads")
	own := []string{"onebeat_meta", "onebeat_leases", "onebeat_nodes", "onebeat_journal", "onebeat_entries", "onebeat_runs", "onebeat_parts", "onebeat_changes", "onebeat_requests", "onebeat_schema"}
	grant := func(rights string, tables ...string) {
		t.Helper()
		for _, table := range tables {
			db.Exec(t, "GRANT "+rights+" ON "+table+" TO "+name)
		}
	}
	rights := func(home string) error {
		t.Helper()
		s, err := store.Open(t.Context(), at.String(), store.Options{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.Rights(t.Context())
	}
	refused := new(store.RightsError)

	grant("SELECT", "celery_beat_schedules")
	db.Exec(t, "ALTER TABLE onebeat_parts RENAME TO away")
	grant("SELECT, INSERT", "onebeat_meta")
	if err := rights(""); !errors.As(err, &refused) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "run `onebeat migrate` once") {
		t.Errorf("Rights of a user who may not make a table that is missing: %v, want one line of a RightsError", err)
	}
	if err := owner.Rights(t.Context()); err != nil {
		t.Errorf("Rights of a user who may make a table that is missing: %v", err)
	}
	db.Exec(t, "ALTER TABLE away RENAME TO onebeat_parts")
	db.Exec(t, "REVOKE INSERT ON onebeat_meta FROM "+name)
	grant("SELECT", append(own, "celery_beat_schedules")...)
	if err := rights(""); !errors.As(err, &refused) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "--home") {
		t.Errorf("Rights of a user who may only read: %v, want one line of a RightsError", err)
	}
	if got := db.Query(t, "SELECT count(*) FROM onebeat_meta WHERE value = ''")[0]; got != "0" {
		t.Errorf("Rights left %s rows", got)
	}
	grant("INSERT, UPDATE, DELETE", own...)
	if err := rights(""); !errors.As(err, &refused) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--home table") {
		t.Errorf("Rights of a user who may not write last runs: %v, want one line of a RightsError that says where else they may be", err)
	}
	if err := rights(store.HomeTable); err != nil {
		t.Errorf("Rights of the same user where last runs are kept beside the table: %v", err)
	}
	grant("UPDATE (last_run_at, total_run_count)", "celery_beat_schedules")
	if err := rights(""); err != nil {
		t.Errorf("Rights of a user who has those that are needed: %v", err)
	}
}

// A copy to read from, as a failover leaves one behind, answers all that is looked at: only a write tells.
func TestADatabaseThatTakesNoWritesIsSaid(t *testing.T) {
	db := freshPostgres(t)
	owner, err := store.Open(t.Context(), db.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if err := owner.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	q.Set("default_transaction_read_only", "on")
	at.RawQuery = q.Encode()
	s, err := store.Open(t.Context(), at.String(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	refused := new(store.RightsError)
	if err := s.Rights(t.Context()); err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("Rights where nothing can be written: %v, want it to say so, and no RightsError", err)
	}
}
