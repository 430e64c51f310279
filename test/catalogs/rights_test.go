package catalogs

import (
	"errors"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/store"
)

// tablesOfCatalogs are the names of tables that one kind of catalog has.
var tablesOfCatalogs = regexp.MustCompile(`\b(celery_beat_schedules|django_celery_beat_\w+|celery_(?:periodictask|interval|crontab|solar|clocked)\w*)`)

// A role with the rights that docs/operating.md lists, and no more, does all of a
// node's work; and what docs/moving.md says of the way back leaves the scheduler's tables alone.
func TestRightsAndTheWayBack(t *testing.T) {
	server := func(c catalog) bool { return c.kind != "SQLite" }
	eachWhere(t, server, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`
task("grid", interval=every(7, "seconds"))
task("one-off", crontab=nine, one_off=True)
`, nil)
		if err := d.open(t).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		role := "onebeat_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
		make, drop := "CREATE ROLE "+role+" LOGIN PASSWORD 'rights'", []string{"DROP OWNED BY " + role, "DROP ROLE " + role}
		if c.kind == "MariaDB" {
			role = role[:20]
			make, drop = "CREATE USER "+role+" IDENTIFIED BY 'rights'", []string{"DROP USER " + role}
		}
		d.exec(t, make)
		t.Cleanup(func() {
			for _, statement := range drop {
				if _, err := d.db.Exec(statement); err != nil {
					t.Error(err)
				}
			}
		})
		if c.schema != "" { // as docs/operating.md says
			d.exec(t, "GRANT USAGE ON SCHEMA "+c.schema+" TO "+role)
		}
		granted := 0
		for _, grant := range statements(t, "operating.md", "GRANT ") {
			if table := tablesOfCatalogs.FindString(grant); table == store.Table || table != "" && !strings.HasPrefix(table, c.prefix()) {
				continue // of another catalog
			}
			if c.schema != "" {
				grant = tablesOfCatalogs.ReplaceAllString(grant, c.schema+".$1")
			}
			for _, grant := range parted(c, grant) {
				d.exec(t, strings.Replace(grant, "TO onebeat", "TO "+role, 1))
				granted++
			}
		}
		if granted < 5 {
			t.Fatalf("docs/operating.md has %d rights", granted)
		}

		at, err := url.Parse(d.url)
		if err != nil {
			t.Fatal(err)
		}
		at.User = url.UserPassword(role, "rights")
		s, err := store.Open(t.Context(), at.String(), c.options())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := errors.Join(s.EnsureOwn(t.Context()), s.Rights(t.Context())); err != nil {
			t.Fatal(err)
		}
		watch(t, s)
		r := newRunner(t, s)
		r.run(t, "grid", "one-off")
		if err := s.Shard(0).Release(t.Context(), r.term); err != nil {
			t.Fatal(err)
		}
		columns := d.columns(t)
		if out, code := d.onebeat(t, "migrate", "--remove", "all", "--apply"); code != 0 {
			t.Fatalf("migrate --remove all = %d: %s", code, out)
		}
		if left := d.ours(t); len(left) > 0 {
			t.Errorf("left of onebeat's: %v", left)
		}
		if diff := cmp.Diff(columns, d.columns(t)); diff != "" {
			t.Errorf("the way back changed the tables (-before +after):\n%s", diff)
		}
		var tasks map[string]task
		d.python(t, "show()", &tasks)
		if tasks["grid"].Runs != 1 || tasks["one-off"].Enabled {
			t.Errorf("the models show %+v, want what ran", tasks)
		}
	})
}

// parted is a statement as the database takes it: as docs/operating.md says, one a table on MariaDB,
// which has no sequences and functions of ours.
func parted(c catalog, grant string) (grants []string) {
	rights, on, _ := strings.Cut(grant, " ON ")
	tables, to, _ := strings.Cut(on, " TO ")
	switch {
	case c.kind != "MariaDB":
		return []string{grant}
	case strings.Contains(on, "SEQUENCES"), strings.HasPrefix(on, "FUNCTION"):
		return nil
	}
	for table := range strings.SplitSeq(tables, ",") {
		grants = append(grants, rights+" ON "+table+" TO "+to)
	}
	return grants
}

// ours are the names of what onebeat has made in the database.
func (d *database) ours(t *testing.T) (names []string) {
	t.Helper()
	rows, err := d.db.QueryContext(t.Context(), map[string]string{
		"PostgreSQL": `SELECT relname::text FROM pg_class WHERE relname LIKE 'onebeat%' AND relkind IN ('r', 'p', 'S')
			UNION ALL SELECT proname::text FROM pg_proc WHERE proname LIKE 'onebeat%' UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'onebeat%' ORDER BY 1`,
		"MariaDB": `SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'onebeat%'
			UNION ALL SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database() AND trigger_name LIKE 'onebeat%' ORDER BY 1`,
		"SQLite": `SELECT name FROM sqlite_master WHERE name LIKE 'onebeat%' ORDER BY 1`,
	}[d.kind])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// What migrate made for two catalogs in one database goes, for one or for both, and the
// scheduler's tables stay as they were, and go on taking what its models write.
func TestMigrateTakesAwayWhatItMade(t *testing.T) {
	eachZoned(t, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`task("a", crontab=nine)`, nil)
		migrate := func(want int, says string, args ...string) {
			t.Helper()
			if out, code := d.onebeat(t, append([]string{"migrate"}, args...)...); code != want || !strings.Contains(out, says) {
				t.Fatalf("migrate %v = %d: %s; want %d and %q", args, code, out, want, says)
			}
		}
		migrate(0, "Done")
		if out, code := onebeat(t, "migrate", "--database", d.url); code != 0 {
			t.Fatalf("migrate of the native catalog = %d: %s", code, out)
		}
		made, columns := d.ours(t), d.columns(t)

		migrate(0, "DROP TABLE IF EXISTS onebeat_runs;\n", "--remove", "all")
		migrate(2, "triggers or all", "--remove", "everything")
		if diff := cmp.Diff(made, d.ours(t)); diff != "" {
			t.Errorf("a plan changed (-before +after):\n%s", diff)
		}
		migrate(0, "Done", "--remove", "triggers", "--apply")
		kept := slices.DeleteFunc(slices.Clone(made), func(name string) bool { return strings.Contains(name, "_"+c.name+"_") })
		if diff := cmp.Diff(kept, d.ours(t)); diff != "" || len(kept) == len(made) {
			t.Errorf("without triggers (-want +got):\n%s", diff)
		}
		d.python(t, `save("a", queue="other")`, nil)
		migrate(0, "Done")
		if diff := cmp.Diff(made, d.ours(t)); diff != "" {
			t.Errorf("made again (-before +after):\n%s", diff)
		}

		s := d.open(t)
		lease, won, err := s.Shard(0).Acquire(t.Context(), "node")
		if err != nil || !won {
			t.Fatalf("Acquire = %v, %v", won, err)
		}
		migrate(2, "a node runs", "--remove", "all", "--apply")
		if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it may be called again
			migrate(0, "Done", "--remove", "all", "--apply")
			if left := d.ours(t); len(left) > 0 {
				t.Errorf("left of onebeat's: %v", left)
			}
		}
		if diff := cmp.Diff(columns, d.columns(t)); diff != "" {
			t.Errorf("the scheduler's tables changed (-before +after):\n%s", diff)
		}
		d.python(t, `save("a", queue="third"); edit_cron(hour="10"); change("a", enabled=False)`, nil)
	})
}

// statements are those in a page of docs that begin so.
func statements(t *testing.T, page, begin string) (found []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "sql\n") {
			continue
		}
		for statement := range strings.SplitSeq(block, ";") {
			if at := strings.Index(statement, begin); at >= 0 {
				found = append(found, statement[at:])
			}
		}
	}
	return found
}
