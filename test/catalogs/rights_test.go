package catalogs

import (
	"net/url"
	"os"
	"regexp"
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
	// Where alone the docs have statements for it.
	postgres := func(c catalog) bool { return c.kind == "PostgreSQL" }
	eachWhere(t, postgres, func(t *testing.T, c catalog) {
		d := newDatabase(t, c)
		d.python(t, schedules+`
task("grid", interval=every(7, "seconds"))
task("one-off", crontab=nine, one_off=True)
`, nil)
		if err := d.open(t).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		role := "onebeat_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
		d.exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'rights'")
		t.Cleanup(func() {
			for _, statement := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
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
			d.exec(t, strings.Replace(grant, "TO onebeat", "TO "+role, 1))
			granted++
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
		if err := s.EnsureOwn(t.Context()); err != nil {
			t.Fatal(err)
		}
		watch(t, s)
		r := newRunner(t, s)
		r.run(t, "grid", "one-off")
		if err := s.Release(t.Context(), r.term); err != nil {
			t.Fatal(err)
		}
		columns := d.columns(t)
		for _, drop := range statements(t, "moving.md", "DROP ") {
			d.exec(t, drop)
		}
		var left int
		const ours = `SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE 'onebeat%') + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'onebeat%') + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'onebeat%')`
		if err := d.db.QueryRowContext(t.Context(), ours).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d things of onebeat's are left, %v", left, err)
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
