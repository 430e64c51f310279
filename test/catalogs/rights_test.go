package catalogs

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A role with the rights that docs/operating.md lists, and no more, does all of a
// node's work; and what docs/moving.md says of the way back leaves Django's tables alone.
func TestDjangoRightsAndTheWayBack(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "PostgreSQL")
	d.django(t, kindsOfTasks+`
task("grid", interval=every(7, "seconds"))
task("one-off", crontab=nine, one_off=True)
`, nil)
	owner := d.open(t, store.Options{Catalog: "django"})
	if err := owner.Migrate(t.Context()); err != nil {
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
	granted := 0
	for _, grant := range statements(t, "operating.md", "GRANT ") {
		if strings.Contains(grant, "ON celery_beat_schedules") {
			continue // of the other catalog
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
	s, err := store.Open(t.Context(), at.String(), store.Options{Catalog: "django"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	watch(t, s)
	all := load(t, s)
	lease, won, err := s.Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	batch := schedule.Batch{Term: lease.Term, Seq: 1}
	var runs []schedule.Run
	for _, name := range []string{"grid", "one-off"} {
		e := all[name].Entry
		slot := e.Spec.Next(e.After)
		batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: slot})
		runs = append(runs, schedule.Run{Entry: e.ID, Name: name, Task: e.Task, Slot: slot, Count: 1, State: schedule.Sent, TaskID: name, Term: lease.Term, SentAt: slot})
	}
	if err := s.Claim(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), lease.Term, []int64{1}, runs); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), lease.Term); err != nil {
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
	if got := d.columns(t); len(got) != len(columns) {
		t.Errorf("the way back changed Django's tables: %v", got)
	}
	var tasks map[string]task
	d.django(t, showTasks, &tasks)
	if tasks["grid"].Runs != 1 || tasks["one-off"].Enabled {
		t.Errorf("Django shows %+v, want what ran", tasks)
	}
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
