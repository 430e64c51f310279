package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// batch is a batch of one slot an entry.
func batch(term, seq int64, slot time.Time, entries ...schedule.ID) schedule.Batch {
	b := schedule.Batch{Term: term, Seq: seq}
	for _, id := range entries {
		b.Dues = append(b.Dues, schedule.Due{Entry: &schedule.Entry{ID: id, Digest: 1<<63 + 7}, Slot: slot})
	}
	return b
}

// sent are the runs of a batch of which all was sent.
func sent(b schedule.Batch) []schedule.Run {
	var runs []schedule.Run
	for _, due := range b.Dues {
		runs = append(runs, schedule.Run{
			Entry: due.Entry.ID, Name: "n", Task: "t", Slot: due.Slot, Count: 1, State: schedule.Sent,
			TaskID: "id of " + string(due.Entry.ID), Queue: "celery", Node: "node", Term: b.Term, SentAt: due.Slot.Add(time.Millisecond), Request: due.Request,
		})
	}
	return runs
}

func claim(t testing.TB, s *store.Store, b schedule.Batch) {
	t.Helper()
	if err := s.Shard(0).Claim(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func record(t testing.TB, s *store.Store, term int64, seqs []int64, runs []schedule.Run) {
	t.Helper()
	if err := s.Shard(0).Record(t.Context(), term, seqs, runs); err != nil {
		t.Fatal(err)
	}
}

func journal(t testing.TB, s *store.Store) []schedule.Claimed {
	t.Helper()
	open, err := s.Shard(0).Journal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return open
}

// full opens a store on the full shape with two entries.
func full(t testing.TB, db Database) *store.Store {
	t.Helper()
	createTable(t, db, shapeNamed("full"))
	for n := range 2 {
		insert(t, db, shapeNamed("full"), n, line{})
	}
	s := open(t, db, store.Options{})
	load(t, s)
	return s
}

func testClaimAndRecord(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	b.Dues[1] = schedule.Due{
		Entry: b.Dues[1].Entry, Slot: at(7, 0), Through: at(8, 0), Count: 2, State: schedule.Coalesced, Reason: schedule.ReasonMisfire,
	}
	b.Dues[0].Request = "asked"
	claim(t, s, b)
	claim(t, s, batch(lease.Term, 2, at(10, 0), id(0)))

	open := journal(t, s)
	want := []schedule.Claimed{
		{Term: lease.Term, Seq: 1, Dues: []schedule.ClaimedDue{
			{Entry: id(0), Slot: at(9, 0), Digest: 1<<63 + 7, Request: "asked"},
			{Entry: id(1), Slot: at(7, 0), Digest: 1<<63 + 7, Through: at(8, 0), Count: 2, State: schedule.Coalesced, Reason: schedule.ReasonMisfire},
		}},
		{Term: lease.Term, Seq: 2, Dues: []schedule.ClaimedDue{{Entry: id(0), Slot: at(10, 0), Digest: 1<<63 + 7}}},
	}
	for i := range open {
		if open[i].At.IsZero() {
			t.Errorf("batch %d has no instant of its claim", open[i].Seq)
		}
		open[i].At = time.Time{}
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("Journal (-want +got):\n%s", diff)
	}
	if seq, err := s.Shard(0).LastSeq(t.Context()); seq != 2 || err != nil {
		t.Errorf("LastSeq = %d, %v; want 2", seq, err)
	}

	record(t, s, lease.Term, []int64{1, 2}, sent(batch(lease.Term, 2, at(10, 0), id(0))))
	if open := journal(t, s); len(open) != 0 {
		t.Errorf("Journal after Record = %+v, want none", open)
	}
	if got := entry(t, s, id(0)); !got.After.Equal(at(10, 0)) || !got.LastRunAt.Equal(at(10, 0)) || got.TotalRunCount != 1 {
		t.Errorf("after Record: after %v, last run %v, %d runs; want 10:00 and 1", got.After, got.LastRunAt, got.TotalRunCount)
	}
	record(t, s, lease.Term, nil, sent(batch(lease.Term, 0, at(9, 30), id(0))))
	if got := entry(t, s, id(0)); !got.LastRunAt.Equal(at(10, 0)) || got.TotalRunCount != 2 {
		t.Errorf("after an earlier slot: last run %v, %d runs; want 10:00, never backwards, and 2", got.LastRunAt, got.TotalRunCount)
	}
	if seq, err := s.Shard(0).LastSeq(t.Context()); seq != 2 || err != nil {
		t.Errorf("LastSeq = %d, %v; want 2 though the journal is empty", seq, err)
	}
}

func testClaimAgain(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	for range 3 {
		claim(t, s, batch(lease.Term, 1, at(9, 0), id(0)))
	}
	if open := journal(t, s); len(open) != 1 || len(open[0].Dues) != 1 {
		t.Errorf("Journal = %+v, want one batch", open)
	}
}

func testRecordAgain(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	first, second := batch(lease.Term, 1, at(9, 0), id(0), id(1)), batch(lease.Term, 2, at(9, 1), id(0))
	claim(t, s, first)
	claim(t, s, second)
	for range 3 {
		record(t, s, lease.Term, []int64{1, 2}, append(sent(first), sent(second)...))
	}
	if got := entry(t, s, id(0)).TotalRunCount; got != 2 {
		t.Errorf("TotalRunCount = %d, want 2", got)
	}
	if got := db.Query(t, "SELECT count(*) FROM onebeat_runs"); got[0] != "3" {
		t.Errorf("%s runs in the ledger, want 3", got)
	}
}

// A journal that lost some of what is recorded together says so, and nothing is recorded: whoever recovers does.
func testRecordOfWhatIsGone(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	var runs []schedule.Run
	for seq := range int64(3) {
		b := batch(lease.Term, seq+1, at(9, int(seq)), id(0))
		claim(t, s, b)
		runs = append(runs, sent(b)...)
	}
	db.Exec(t, "DELETE FROM onebeat_journal WHERE seq = 2")
	if err := s.Shard(0).Record(t.Context(), lease.Term, []int64{1, 2, 3}, runs); !errors.Is(err, schedule.ErrJournal) {
		t.Errorf("Record of batches of which one is gone = %v, want ErrJournal", err)
	}
	if got := db.Query(t, "SELECT count(*) FROM onebeat_runs"); got[0] != "0" {
		t.Errorf("%s runs in the ledger, want none", got[0])
	}
	if open := journal(t, s); len(open) != 2 {
		t.Errorf("%d batches are in the journal, want 2", len(open))
	}
}

func testFencing(t *testing.T, db Database) {
	old := full(t, db)
	lease := acquire(t, old)
	b := batch(lease.Term, 1, at(9, 0), id(0))
	claim(t, old, b)
	if err := old.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	later := open(t, db, store.Options{})
	next := acquire(t, later)
	if next.Term <= lease.Term {
		t.Errorf("the next term is %d after %d, want it higher", next.Term, lease.Term)
	}

	lost(t, "Claim", old.Shard(0).Claim(t.Context(), batch(lease.Term, 2, at(10, 0), id(0))))
	lost(t, "Record", old.Shard(0).Record(t.Context(), lease.Term, []int64{1}, sent(b)))
	_, err := old.Shard(0).Renew(t.Context(), lease.Term)
	lost(t, "Renew", err)
	if err := old.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Errorf("Release of a term that is over = %v, want nothing done", err)
	}
	if _, err := later.Shard(0).Renew(t.Context(), next.Term); err != nil {
		t.Errorf("Renew of the new term = %v", err)
	}
	if open := journal(t, later); len(open) != 1 || open[0].Term != lease.Term {
		t.Errorf("Journal = %+v, want the old term's batch", open)
	}
	record(t, later, next.Term, []int64{1}, sent(b))
	lost(t, "Record of what is recorded", old.Shard(0).Record(t.Context(), lease.Term, []int64{1}, sent(b)))
}

// Whoever claims a sequence number, and however the take-over falls between, each
// number is one term's, and no claim of the old term succeeds after one of the new.
func testFencingRace(t *testing.T, db Database) {
	s := full(t, db)
	nodes := []*store.Store{s, open(t, db, store.Options{LeaseFor: time.Millisecond})}
	term := acquire(t, nodes[1]).Term
	var current atomic.Int64
	current.Store(term)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() { // takes the lease over and over
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			lease, won, err := nodes[1].Shard(0).Acquire(t.Context(), "thief")
			if err != nil {
				t.Error(err)
				return
			}
			if won {
				current.Store(lease.Term)
			}
		}
	}()
	won := 0
	for seq := int64(1); seq <= 300; seq++ {
		term := current.Load()
		err := s.Shard(0).Claim(t.Context(), batch(term, seq, at(9, 0), id(0)))
		for tries := 0; err != nil && !errors.Is(err, schedule.ErrLost) && tries < 5; tries++ {
			// SQLite may let the thief go first for as long as a writer waits. A dispatcher
			// claims the same batch again.
			err = s.Shard(0).Claim(t.Context(), batch(term, seq, at(9, 0), id(0)))
		}
		switch {
		case err == nil:
			won++
			if now := db.Query(t, fmt.Sprintf("SELECT term FROM onebeat_journal WHERE seq = %d", seq)); len(now) != 1 || now[0] != fmt.Sprint(term) {
				t.Fatalf("batch %d in the journal has the terms %v, want %d", seq, now, term)
			}
		case !errors.Is(err, schedule.ErrLost):
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	terms := map[int64]bool{}
	last := int64(0)
	for _, claimed := range journal(t, s) {
		if claimed.Term < last {
			t.Errorf("batch %d is of term %d, after one of term %d", claimed.Seq, claimed.Term, last)
		}
		last = claimed.Term
		terms[claimed.Term] = true
	}
	if got := len(journal(t, s)); got != won {
		t.Errorf("%d batches are in the journal, %d claims succeeded", got, won)
	}
	t.Logf("%d of 300 claims over %d terms", won, len(terms))
}

func testRequestIsNoSlot(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	before := entry(t, s, id(0))
	request, err := s.Ask(t.Context(), id(0), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	b := batch(lease.Term, 1, at(9, 0), id(0))
	b.Dues[0].Request = request
	claim(t, s, b)
	record(t, s, lease.Term, []int64{1}, sent(b))
	got := entry(t, s, id(0))
	if !got.After.Equal(before.After) || !got.LastRunAt.IsZero() || got.TotalRunCount != 1 {
		t.Errorf("after %v, last run %v, %d runs; want after %v, none and 1", got.After, got.LastRunAt, got.TotalRunCount, before.After)
	}
	if pending, err := s.Requests(t.Context()); err != nil || len(pending) != 0 {
		t.Errorf("Requests = %+v, %v; want none once recorded", pending, err)
	}
}

func testUnsentSlots(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0))
	claim(t, s, b)
	record(t, s, lease.Term, []int64{1}, []schedule.Run{
		{Entry: id(0), Slot: at(9, 0), Through: at(11, 0), Count: 3, State: schedule.Skipped, Reason: schedule.ReasonMisfire},
	})
	got := entry(t, s, id(0))
	if !got.After.Equal(at(11, 0)) || !got.LastRunAt.IsZero() || got.TotalRunCount != 0 {
		t.Errorf("after %v, last run %v, %d runs; want after 11:00, none and 0", got.After, got.LastRunAt, got.TotalRunCount)
	}
}

func testHeldRow(t *testing.T, db Database) {
	if !db.Postgres && !db.MySQL {
		return // SQLite has no locks on rows: a writer waits for the other's whole transaction
	}
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	exec, commit := db.Begin(t)
	exec(fmt.Sprintf("UPDATE celery_beat_schedules SET description = 'held' WHERE id = '%s'", id(0)))
	record(t, s, lease.Term, []int64{1}, sent(b))
	commit()
	ranAtNine(t, s, 2)
}

// ranAtNine says whether that many entries, from the first on, ran once, at nine.
func ranAtNine(t *testing.T, s *store.Store, entries int) {
	t.Helper()
	for n := range entries {
		if got := entry(t, s, id(n)); !got.LastRunAt.Equal(at(9, 0)) || got.TotalRunCount != 1 {
			t.Errorf("entry %d: last run %v, %d runs; want 9:00 and 1", n, got.LastRunAt, got.TotalRunCount)
		}
	}
}

// What one run says in words that no column takes keeps no other from being recorded.
func testOddRuns(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	runs := sent(b)
	runs[0].Name, runs[0].Task, runs[0].Queue, runs[0].TaskID = "name\x00", "task\xff", strings.Repeat("ü", 300), strings.Repeat("i", 300)
	runs[0].State, runs[0].Reason = schedule.Failed, "no queue \x00\xff"+strings.Repeat("ü", 20_000)
	record(t, s, lease.Term, []int64{1}, runs)
	if open := journal(t, s); len(open) != 0 {
		t.Errorf("Journal after Record = %+v, want none", open)
	}
	got, err := s.Runs(t.Context(), store.Filter{})
	if err != nil || len(got) != 2 {
		t.Fatalf("Runs = %d, %v, want both", len(got), err)
	}
	odd := got[slices.IndexFunc(got, func(r schedule.Run) bool { return r.Entry == id(0) })]
	if odd.Name != "name\uFFFD" || odd.Task != "task\uFFFD" || !strings.HasPrefix(odd.Queue, strings.Repeat("ü", 255)) || !strings.HasPrefix(odd.Reason, "no queue \uFFFD\uFFFDü") {
		t.Errorf("Runs = %+v, want what can be kept of it", odd)
	}
	if runs[0].Name != "name\x00" {
		t.Error("Record changed what it was given")
	}
}

func testRuns(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	left := now(t, db).Truncate(time.Second) // runs are recorded soon after
	want := []schedule.Run{
		{
			Entry: id(1), Name: "n", Task: "t", Slot: at(9, 0), Through: at(11, 0), Count: 3, State: schedule.Skipped,
			Reason: schedule.ReasonMisfire, Node: "node", Term: lease.Term,
		},
		{
			Entry: id(0), Name: "n", Task: "t", Slot: at(8, 0).Add(time.Microsecond), Count: 1, State: schedule.Sent, TaskID: "task",
			Queue: "q", Request: "r", Node: "node", Term: lease.Term, SentAt: left, Recovered: true,
		},
	}
	record(t, s, lease.Term, nil, want)
	for _, tt := range []struct {
		name   string
		filter store.Filter
		want   []schedule.Run
	}{
		{"all, the latest first", store.Filter{}, want},
		{"of an entry", store.Filter{Entry: id(0)}, want[1:]},
		{"of a state", store.Filter{State: schedule.Skipped}, want[:1]},
		{"since a slot", store.Filter{Since: at(9, 0)}, want[:1]},
		{"up to a slot", store.Filter{Until: at(8, 1)}, want[1:]},
		{"of an entry, up to before its slot", store.Filter{Entry: id(0), Until: at(8, 0)}, nil},
		{"of an entry, since and up to a slot", store.Filter{Entry: id(0), Since: at(8, 0), Until: at(8, 1)}, want[1:]},
		{"at most one", store.Filter{Limit: 1}, want[:1]},
	} {
		got, err := s.Runs(t.Context(), tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Runs %s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, tt := range []struct {
		state schedule.State
		limit int
		want  []schedule.Run
	}{
		{"", 10, want},
		{"", 1, want[:1]},
		{schedule.Sent, 10, want[1:]},
		{schedule.Failed, 10, nil},
	} {
		got, all, err := s.RunsLately(t.Context(), tt.state, tt.limit)
		if err != nil || !all {
			t.Fatalf("RunsLately of state %q: all %v, %v", tt.state, all, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("RunsLately of state %q, at most %d (-want +got):\n%s", tt.state, tt.limit, diff)
		}
	}
	for _, tt := range []struct {
		since, until time.Time
		want         []time.Time
	}{
		{at(8, 0), at(12, 0), []time.Time{left}},
		{at(8, 0).Add(time.Microsecond), at(8, 0).Add(2 * time.Microsecond), []time.Time{left}},
		{at(8, 1), at(12, 0), nil},
		{at(7, 0), at(8, 0).Add(time.Microsecond), nil},
	} {
		var got []time.Time
		err := s.Sent(t.Context(), tt.since, tt.until, func(slot, sentAt time.Time) {
			if !slot.Equal(want[1].Slot) {
				t.Errorf("Sent tells of the slot %v, want %v", slot, want[1].Slot)
			}
			got = append(got, sentAt)
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Sent from %v to %v (-want +got):\n%s", tt.since, tt.until, diff)
		}
	}
	for since, want := range map[time.Time][]schedule.Run{left.Add(-time.Minute): want[1:], left: nil} {
		got, err := s.Shard(0).SentSince(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("SentSince %v (-want +got):\n%s", since, diff)
		}
	}
	want[0].Slot, want[0].Through, want[1].Slot = left.Add(-2*time.Hour), left, left.Add(-3*time.Hour) // as slots are recorded, when they have come
	want[0].Name, want[1].Name = "late", "late"
	record(t, s, lease.Term, nil, want)
	for _, tt := range []struct {
		name  string
		since time.Time
		limit int
		want  []schedule.Run
	}{
		{"late", left.Add(-3 * time.Hour), 10, want},
		{"late", left.Add(-2 * time.Hour), 10, want[:1]},
		{"late", left.AddDate(0, 0, -7), 1, want[:1]},
		{"another", left.AddDate(0, 0, -7), 10, nil},
	} {
		got, err := s.RunsNamed(t.Context(), tt.name, tt.since, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("RunsNamed %s since %v, at most %d (-want +got):\n%s", tt.name, tt.since, tt.limit, diff)
		}
	}
}

// A row that refuses what is written of its runs, as by a constraint or a trigger of its table's own, keeps
// no other from being recorded: its state is remembered beside it.
func testRecordARowThatRefuses(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	for n := range 5 {
		insert(t, db, shape, n, line{})
	}
	switch {
	case db.Postgres:
		db.Exec(t, fmt.Sprintf("ALTER TABLE celery_beat_schedules ADD CHECK (id <> '%s' OR total_run_count < 1)", id(3)))
		// Another refuses at the commit, when all statements have passed.
		db.Exec(t, fmt.Sprintf("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = '%s' THEN RAISE 'not this one'; END IF; RETURN NULL; END$$", id(4)))
		db.Exec(t, "CREATE CONSTRAINT TRIGGER refuses AFTER UPDATE ON celery_beat_schedules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
	case db.MySQL:
		db.Exec(t, fmt.Sprintf("CREATE TRIGGER refuses BEFORE UPDATE ON celery_beat_schedules FOR EACH ROW BEGIN IF NEW.id = '%s' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF; END", id(3)))
	default:
		db.Exec(t, fmt.Sprintf("CREATE TRIGGER refuses BEFORE UPDATE ON celery_beat_schedules WHEN NEW.id = '%s' BEGIN SELECT RAISE(ABORT, 'not this one'); END", id(3)))
	}
	var log bytes.Buffer
	s := open(t, db, store.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	load(t, s)
	lease := acquire(t, s)
	for seq := range int64(2) {
		b := batch(lease.Term, seq+1, at(9+int(seq), 0), id(0), id(1), id(2), id(3), id(4))
		claim(t, s, b)
		record(t, s, lease.Term, []int64{seq + 1}, sent(b))
	}
	const refuse, take = "rows refuse what is written", "rows take what is written of their runs again"
	if got := log.String(); strings.Count(got, refuse) != 1 || !strings.Contains(got, "entry_id="+string(id(3))) || strings.Contains(got, take) {
		t.Errorf("the log does not name a row that refuses once:\n%s", got)
	}
	if open := journal(t, s); len(open) != 0 {
		t.Errorf("Journal after Record = %+v, want none", open)
	}
	for n := range 5 {
		if e := entry(t, s, id(n)); !e.After.Equal(at(10, 0)) || e.TotalRunCount != 2 {
			t.Errorf("entry %d counts after %v, %d runs, want 10:00 and 2 runs", n, e.After, e.TotalRunCount)
		}
	}
	if runs, err := s.Runs(t.Context(), store.Filter{}); err != nil || len(runs) != 10 {
		t.Errorf("Runs = %d, %v, want 10", len(runs), err)
	}
	switch {
	case db.Postgres:
		db.Exec(t, "ALTER TABLE celery_beat_schedules DROP CONSTRAINT celery_beat_schedules_check")
		db.Exec(t, "DROP TRIGGER refuses ON celery_beat_schedules")
	default:
		db.Exec(t, "DROP TRIGGER refuses")
	}
	for seq := int64(3); seq < 5; seq++ {
		b := batch(lease.Term, seq, at(8+int(seq), 0), id(0), id(1), id(2), id(3), id(4))
		claim(t, s, b)
		record(t, s, lease.Term, []int64{seq}, sent(b))
	}
	if got := log.String(); strings.Count(got, refuse) != 1 || strings.Count(got, take) != 1 {
		t.Errorf("the log does not tell once that the rows refuse no more:\n%s", got)
	}
}

// A row that another of its user's needs, who says so at the commit, stays where its last run would delete it, and keeps
// nothing from being recorded.
func testRecordARowThatIsNeeded(t *testing.T, db Database) {
	if !db.Postgres {
		return // the others know no constraint that waits for the commit, or none that is on
	}
	createTable(t, db, shapeNamed("full"))
	for n := range 2 {
		insert(t, db, shapeNamed("full"), n, line{})
	}
	db.Exec(t, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'it is needed'; END$$")
	db.Exec(t, "CREATE CONSTRAINT TRIGGER needs AFTER DELETE ON celery_beat_schedules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
	s := open(t, db, store.Options{})
	load(t, s)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	runs := sent(b)
	runs[1].Then = schedule.ThenDelete
	record(t, s, lease.Term, []int64{1}, runs)
	for n := range 2 {
		if e := entry(t, s, id(n)); !e.After.Equal(at(9, 0)) || e.TotalRunCount != 1 {
			t.Errorf("entry %d counts after %v, %d runs, want 9:00 and 1 run", n, e.After, e.TotalRunCount)
		}
	}
}
