package store_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/store/storetest"
)

// Slots are claimed and recorded in batches of this many.
const batchOf = 1000

func BenchmarkPostgres(b *testing.B) { benchmarks(b, freshPostgres) }

func BenchmarkSQLite(b *testing.B) { benchmarks(b, freshSQLite) }

func benchmarks(b *testing.B, fresh func(testing.TB) storetest.Database) {
	for _, home := range []string{store.HomeColumn, store.HomeTable} {
		b.Run("Record/"+home, func(b *testing.B) { benchmarkRecord(b, fresh(b), home) })
	}
	b.Run("Claim", func(b *testing.B) { benchmarkClaim(b, fresh(b)) })
	b.Run("Load", func(b *testing.B) { benchmarkLoad(b, fresh(b)) })
}

// fill makes a catalog of n entries in the full shape and returns their ids.
func fill(b testing.TB, db storetest.Database, home string, n int) (*store.Store, []schedule.ID) {
	b.Helper()
	s, err := store.Open(b.Context(), db.URL, store.Options{Home: home})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	if err := s.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	db.Exec(b, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression, kwargs)
		SELECT 'entry ' || i, 'tasks.add', '*/5 * * * *', '{"schedule_id": 1, "from_date": "20250729"}' FROM n`, n))
	return s, loaded(b, s)
}

func loaded(b testing.TB, s *store.Store) (ids []schedule.ID) {
	b.Helper()
	err := s.Load(b.Context(), func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			if change.Sketches == nil {
				ids = append(ids, change.ID)
			}
			for i := range change.Sketches {
				ids = append(ids, change.Sketches[i].Key.ID())
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return ids
}

// A catalog of a million rows is read in seconds if a row makes little garbage. Measured:
// 7 allocations and 0.8 kB, an entry and what is known of it among them; 43 and 3.2 kB
// when each value was boxed. Of one that is left in the catalog, its id, its texts and the share of what is made for all:
// 2 allocations and 0.6 kB, a fifth of it what is made once.
func TestReadingARowMakesLittleGarbage(t *testing.T) {
	db := freshPostgres(t)
	s, _ := fill(t, db, "", 5000)
	t.Run("held", func(t *testing.T) { testGarbageOfRows(t, s, 12, 1300) })
	s, err := store.Open(t.Context(), db.URL, store.Options{
		Held: 1, Prepare: func(*schedule.Entry) error { return nil }, Sound: func(*schedule.Entry) bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '0 0 29 2 *'")
	loaded(t, s)
	t.Run("left", func(t *testing.T) { testGarbageOfRows(t, s, 3, 750) })
}

func testGarbageOfRows(t *testing.T, s *store.Store, most, bytes uint64) {
	const rows = 5000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := len(loaded(t, s)); got != rows {
		t.Fatalf("loaded %d entries, want %d", got, rows)
	}
	runtime.ReadMemStats(&after)
	if each := (after.Mallocs - before.Mallocs) / rows; each > most {
		t.Errorf("a row makes %d allocations, want %d at most", each, most)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / rows; each > bytes {
		t.Errorf("a row makes %d bytes, want %d at most", each, bytes)
	}
}

func lease(b *testing.B, s *store.Store) int64 {
	b.Helper()
	lease, won, err := s.Shard(0).Acquire(b.Context(), "bench")
	if err != nil || !won {
		b.Fatal(lease, won, err)
	}
	return lease.Term
}

func benchmarkRecord(b *testing.B, db storetest.Database, home string) {
	s, ids := fill(b, db, home, 10*batchOf)
	term := lease(b, s)
	slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var seq int64
	for b.Loop() {
		b.StopTimer()
		seq++
		slot = slot.Add(time.Minute)
		batch := schedule.Batch{Term: term, Seq: seq}
		runs := make([]schedule.Run, batchOf)
		for i := range runs {
			id := ids[(int(seq)*batchOf+i)%len(ids)]
			batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: id}, Slot: slot})
			runs[i] = schedule.Run{
				Entry: id, Name: "entry", Task: "tasks.add", Slot: slot, Count: 1, State: schedule.Sent,
				TaskID: string(id), Queue: "celery", Node: "node-1", Term: term, SentAt: slot,
			}
		}
		if err := s.Shard(0).Claim(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Shard(0).Record(b.Context(), term, []int64{seq}, runs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*batchOf/b.Elapsed().Seconds(), "slots/s")
}

func benchmarkClaim(b *testing.B, db storetest.Database) {
	s, ids := fill(b, db, "", batchOf)
	term := lease(b, s)
	batch := schedule.Batch{Term: term}
	for _, id := range ids {
		batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: id, Digest: 1 << 60}, Slot: time.Unix(1893456000, 0)})
	}
	for b.Loop() {
		batch.Seq++
		if err := s.Shard(0).Claim(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*batchOf/b.Elapsed().Seconds(), "slots/s")
}

func benchmarkLoad(b *testing.B, db storetest.Database) {
	const entries = 100_000
	s, _ := fill(b, db, "", entries)
	for b.Loop() {
		if got := len(loaded(b, s)); got != entries {
			b.Fatalf("loaded %d entries, want %d", got, entries)
		}
	}
	b.ReportMetric(float64(b.N)*entries/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkScanner is what the daemon's own audit takes beside a million entries of which
// each has had two slots: processor time of this process, in which nothing else is at
// work, and of the server's session, in parts of a processor, and how long a round takes.
func BenchmarkScanner(b *testing.B) {
	const entries = 1_000_000
	db := freshPostgres(b)
	s, _ := fill(b, db, "", entries)
	last := time.Now().UTC().Truncate(5 * time.Minute)
	db.Exec(b, "UPDATE onebeat_entries SET spec_at = now() - interval '1 day', after_at = now() - interval '1 day', last_slot = $1", last)
	for _, slot := range []time.Time{last.Add(-5 * time.Minute), last} {
		db.Exec(b, `INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, sent_at, recovered)
			SELECT entry_id, 'entry', 'tasks.add', $1, 1, 'sent', '', entry_id, 'celery', '', 'node-1', 1, $1, false FROM onebeat_entries`, slot)
	}
	db.Exec(b, "ANALYZE onebeat_runs")
	db.Exec(b, "ANALYZE onebeat_entries")
	for b.Loop() {
		counted := &countedLedger{Store: s}
		scanner := audit.NewScanner(counted, audit.ScannerOptions{Delay: time.Millisecond, LookBack: 7 * time.Minute})
		runtime.GC()
		ctx, stop := context.WithTimeout(b.Context(), 2*time.Minute)
		began, before, server := time.Now(), processorTime(b), serverTime(b, db)
		if err := scanner.Run(ctx); err != nil {
			b.Fatal(err)
		}
		stop()
		took := time.Since(began)
		b.ReportMetric(100*(processorTime(b)-before).Seconds()/took.Seconds(), "%-processor")
		var sessions time.Duration
		for pid, since := range serverTime(b, db) {
			sessions += since - server[pid]
		}
		b.ReportMetric(100*sessions.Seconds()/took.Seconds(), "%-server")
		b.ReportMetric(took.Minutes()*entries/float64(counted.subjects), "min/round")
		b.ReportMetric(float64(scanner.State().Slots), "slots")
		for kind, n := range scanner.State().Counts {
			if n > 0 {
				b.Errorf("the audit found %d %s", n, kind)
			}
		}
	}
}

// A countedLedger counts the entries that an audit looks at.
type countedLedger struct {
	*store.Store
	subjects int
}

func (l *countedLedger) Subjects(ctx context.Context, after schedule.ID, n int) ([]schedule.Subject, schedule.ID, error) {
	subjects, last, err := l.Store.Subjects(ctx, after, n)
	l.subjects += len(subjects)
	return subjects, last, err
}

// processorTime is what this process has taken.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serverTime is what each session of the database has taken, of a server of this machine.
func serverTime(b *testing.B, db storetest.Database) map[string]time.Duration {
	took := map[string]time.Duration{}
	for _, pid := range db.Query(b, "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database()") {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			took[pid] += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return took
}
