package catalogs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"
	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// Django's models write without a pause while onebeat sends: neither waits in vain for
// the other, and what either wrote stays. SQLite lets one write at a time: Django waits five
// seconds for that if its transactions begin as those of a writer, as docs/moving.md says. Who waits looks
// again from time to time, so that two who write there without any pause may keep a third waiting for as long as they like,
// on a slow disk for longer than a lease: they rest for as long as each write took, and the lease is longer.
func TestDjangoWritesMeanwhile(t *testing.T) {
	eachWhere(t, func(c catalog) bool { return c.name == "django" && c.zone == "" && !c.old }, func(t *testing.T, c catalog) {
		djangoWritesMeanwhile(t, newTables(t, c), harness.Env(t, "ONEBEAT_TEST_REDIS"), false)
	})
}

// The same where workers take what onebeat sends from tables of the same database.
func TestDjangoWritesMeanwhileInOneDatabase(t *testing.T) {
	eachWhere(t, func(c catalog) bool { return c.name == "django" && c.zone == "" && !c.old && c.kind != "SQLite" }, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		broker := "sqla+mysql+pymysql" + strings.TrimPrefix(d.url, "mysql")
		if c.kind == "PostgreSQL" {
			broker = "sqla+postgresql+psycopg2" + strings.TrimPrefix(d.url, "postgres")
		}
		djangoWritesMeanwhile(t, d, broker, true)
	})
}

func djangoWritesMeanwhile(t *testing.T, d *database, broker string, oneDatabase bool) {
	queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
	d.python(t, schedules+fmt.Sprintf(`
second = every(1, "seconds")
for name in ("edited", "saved"):
    for n in range(5):
        task(f"{name} {n}", task="probe.record", interval=second, queue=%q, args=json.dumps([name, n]))
`, queue), nil)
	if out, code := d.onebeat(t, "migrate"); code != 0 {
		t.Fatalf("migrate = %d: %s", code, out)
	}
	w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Pool: "solo"})
	log := filepath.Join(t.TempDir(), "onebeat.log")
	node := launch(t, "onebeat", onebeatCommand(log, broker, append(d.flags(), "--lease", "15s")...))
	w.Await(t, 10, time.Minute)

	// Each of the two writes for ten seconds, and tells how often.
	write := func(statements ...string) func(written any) error {
		rested := "rested(lambda: " + strings.Join(statements, "); rested(lambda: ") + ")"
		return d.models(t, fmt.Sprintf(`
import time
from django.db import connection
connection.settings_dict["OPTIONS"].update({"timeout": 5, "transaction_mode": "IMMEDIATE"} if connection.vendor == "sqlite" else {})
written, end = 0, time.monotonic() + 10
def rested(write):
    began = time.monotonic()
    write()
    if connection.vendor == "sqlite":
        time.sleep(time.monotonic() - began)
while time.monotonic() < end:
    written += 1
    for n in range(5):
        %s
tell(written)
`, rested))
	}
	var edits, saves int
	update := write(`change(f"edited {n}", description=str(written))`)
	save := write(`save(f"saved {n}", description=str(written))`, `task("more", crontab=first_cron())`, `PeriodicTask.objects.get(name="more").delete()`)
	var both errgroup.Group
	both.Go(func() error { return update(&edits) })
	both.Go(func() error { return save(&saves) })
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := node.Stop(syscall.SIGTERM, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if edits < 3 || saves < 3 {
		t.Fatalf("Django wrote %d and %d times in ten seconds", edits, saves)
	}

	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	said := false
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "go in one transaction") {
			said = true
		}
		if strings.Contains(line, "locked") || strings.Contains(line, " ERR ") {
			t.Errorf("onebeat says %s", line)
		}
	}
	if said != oneDatabase {
		t.Errorf("onebeat says that it sends and records in one transaction: %v, want %v", said, oneDatabase)
	}
	if out, code := d.onebeat(t, "audit", "--since", "1h"); code != 0 {
		t.Errorf("audit = %d: %s", code, out)
	}
	out, code := d.onebeat(t, "runs", "list", "--json", "--limit", "10000")
	if code != 0 {
		t.Fatalf("runs list = %d: %s", code, out)
	}
	var runs []struct {
		Entry string `json:"name"`
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		t.Fatalf("runs list: %v\n%s", err, out)
	}
	sent := map[string]int{}
	for _, r := range runs {
		if r.State == "sent" {
			sent[r.Entry]++
		}
	}
	var rows map[string]struct {
		Runs        int
		Description string
	}
	d.python(t, `tell({row.name: {"runs": row.total_run_count, "description": row.description} for row in PeriodicTask.objects.all()})`, &rows)
	for n := range 5 {
		// A save writes the whole row as it was read, counts too; an update its column alone. Messages
		// wait for a row but a moment, and then the count is remembered beside it.
		edited, saved := fmt.Sprint("edited ", n), fmt.Sprint("saved ", n)
		if got := rows[edited]; got.Description != strconv.Itoa(edits) || got.Runs != sent[edited] && !(oneDatabase && got.Runs < sent[edited]) || got.Runs < 3 {
			t.Errorf("%s is %+v, want the edit %d and %d runs", edited, got, edits, sent[edited])
		}
		if got := rows[saved]; got.Description != strconv.Itoa(saves) || sent[saved] < 3 {
			t.Errorf("%s is %+v, want the edit %d; %d slots were sent", saved, got, saves, sent[saved])
		}
	}
	times := map[string]int{}
	for _, r := range w.Await(t, len(runs), time.Minute) {
		times[r.PeriodicTaskName+" "+r.Slot]++
	}
	for slot, n := range times {
		if n != 1 {
			t.Errorf("%s was sent %d times", slot, n)
		}
	}
	t.Logf("Django wrote %d times, onebeat sent %d slots", 5*edits+25*saves, len(runs))
}

// manyRows is how many rows a large catalog has here; ONEBEAT_ROWS has it otherwise. With the
// detector of races SQLite, which is in this process, takes a millisecond or more a row.
func manyRows(t *testing.T, c catalog) int {
	t.Helper()
	text := os.Getenv("ONEBEAT_ROWS")
	switch {
	case text == "" && c.kind == "SQLite":
		return 2000
	case text == "":
		return 10_000
	}
	rows, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ONEBEAT_ROWS is %q: write a number", text)
	}
	return rows
}

// An edit among many rows counts at once where triggers tell of it, and soon where none
// do, while slots are claimed and recorded.
func TestEditsAmongManyRowsCount(t *testing.T) {
	eachWhere(t, func(c catalog) bool { return c.zone == "" && !c.old }, func(t *testing.T, c catalog) {
		rows := manyRows(t, c)
		d := newTables(t, c)
		d.python(t, schedules+`task("n0", crontab=nine)`, nil)
		const columns = "task, args, kwargs, headers, enabled, one_off, total_run_count, date_changed, description"
		reference := map[string]string{"django": "crontab_id", "sqlalchemy": "discriminator, schedule_id"}[c.name]
		numbers := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", rows)
		insert := "INSERT INTO {periodictask} (name, " + columns + ", " + reference + ") "
		if c.kind == "MariaDB" {
			numbers, insert = "SET STATEMENT max_recursive_iterations = 10000000 FOR "+insert+numbers, ""
		}
		d.exec(t, numbers+insert+"SELECT concat('n', n.i), "+columns+", "+reference+" FROM n, {periodictask}")
		for _, triggers := range []bool{true, false} {
			t.Run(fmt.Sprintf("triggers %v", triggers), func(t *testing.T) { editsCount(t, d, rows, triggers) })
		}
	})
}

func editsCount(t *testing.T, d *database, rows int, triggers bool) {
	t.Helper()
	s := d.open(t)
	if triggers {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else if err := s.Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w := watch(t, s)
	loaded := time.Since(began)
	r := newRunner(t, s)
	var err error
	if r.seq, err = s.Shard(0).LastSeq(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group errgroup.Group
	group.Go(func() error {
		// Near 2,000 slots a second. On a slow machine too there is rest for half of the time: SQLite has one writer,
		// and who waits for it while another writes without a pause may wait in vain.
		rest := time.NewTimer(0)
		defer rest.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-rest.C:
			}
			began := time.Now()
			if err := r.hundred(); err != nil {
				return err
			}
			rest.Reset(max(50*time.Millisecond, time.Since(began)))
		}
	})
	edits := d.editsByModels // which move a mark
	if triggers {
		edits = d.editsBySQL
	}
	late := edits(t, w, r.all)
	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shard(0).Release(t.Context(), r.term); err != nil {
		t.Fatal(err)
	}
	slices.Sort(late)
	median := late[len(late)/2]
	t.Logf("%d rows: loaded in %v, edits were seen after %v in the middle, %v at most; %d batches of 100 meanwhile", rows, loaded.Round(time.Millisecond), median, late[len(late)-1], r.seq)
	most := 20 * time.Second // with much room
	if triggers {
		most = time.Second
	}
	if median > most {
		t.Errorf("edits among %d rows were seen after %v; want %v at most in the middle", rows, late, most)
	}
}

// queueIs says whether the entry's queue is the one.
func (w *watching) queueIs(id schedule.ID, queue string) func() bool {
	return func() bool {
		change := w.now[id]
		return change.Entry != nil && strings.Contains(change.Entry.Options, queue)
	}
}

// editsBySQL returns how long edits by plain SQL took to be seen.
func (d *database) editsBySQL(t *testing.T, w *watching, all map[string]schedule.Change) (late []time.Duration) {
	t.Helper()
	for i := range 10 {
		name, queue := fmt.Sprint("n", 1000+i), fmt.Sprint("by SQL ", i)
		d.exec(t, "UPDATE {periodictask} SET queue = '"+queue+"' WHERE name = '"+name+"'")
		late = append(late, w.await("an edit", w.queueIs(all[name].ID, queue)))
	}
	return late
}

// editsByModels returns how long edits by the scheduler's models took to be seen.
func (d *database) editsByModels(t *testing.T, w *watching, all map[string]schedule.Change) (late []time.Duration) {
	t.Helper()
	const edits = 6
	turn := filepath.Join(t.TempDir(), "turn")
	begin := d.models(t, fmt.Sprintf(`
import os, time
def saving(n):
    for _ in range(100):
        try:
            return save(f"n{1000 + n}", queue=f"by models {n}")
        except Exception as error:
            if "locked" not in str(error): # SQLite, which has one writer, and one more that writes all the time
                raise
            undo()
            time.sleep(0.1)
saved = []
for n in range(%d):
    while not os.path.exists(f"%s-{n}"):
        time.sleep(0.01)
    saving(n)
    saved.append(time.time())
tell(saved)
`, edits, turn))
	var saved []float64
	var group errgroup.Group
	group.Go(func() error { return begin(&saved) })
	ended := sync.OnceValue(group.Wait)
	t.Cleanup(func() {
		if err := ended(); err != nil && t.Failed() {
			t.Log(err)
		}
	})
	var seen []time.Time
	for i := range edits {
		if err := os.WriteFile(fmt.Sprint(turn, "-", i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.await("an edit by the models", w.queueIs(all[fmt.Sprint("n", 1000+i)].ID, fmt.Sprint("by models ", i)))
		seen = append(seen, time.Now())
	}
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	for i, at := range seen {
		late = append(late, at.Sub(time.UnixMicro(int64(saved[i]*1e6))))
	}
	return late
}

// hundred claims and records a slot of a hundred entries, and prolongs the lease.
func (r *runner) hundred() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := r.s.Shard(0).Renew(ctx, r.term); err != nil {
		return err
	}
	r.seq++
	batch := schedule.Batch{Term: r.term, Seq: r.seq}
	var runs []schedule.Run
	for i := range 100 {
		e := r.all[fmt.Sprint("n", i+1)].Entry
		slot := time.Unix(1_900_000_000+r.seq, 0).UTC()
		batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: slot})
		runs = append(runs, schedule.Run{Entry: e.ID, Name: e.Name, Task: e.Task, Slot: slot, Count: 1, State: schedule.Sent, TaskID: "id", Node: "node", Term: r.term, SentAt: slot})
	}
	if err := r.s.Shard(0).Claim(ctx, batch); err != nil {
		return err
	}
	return r.s.Shard(0).Record(ctx, r.term, []int64{r.seq}, runs)
}
