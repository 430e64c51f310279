package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// hourly opens a store on the full shape with entries that are due every hour.
func hourly(t testing.TB, db Database, entries int) *store.Store {
	t.Helper()
	createTable(t, db, shapeNamed("full"))
	for n := range entries {
		insert(t, db, shapeNamed("full"), n, line{name: fmt.Sprint("entry ", n), spec: "0 * * * *"})
	}
	s := open(t, db, store.Options{})
	load(t, s)
	return s
}

// ended are the runs of an entry that was sent at each of these hours.
func ended(n int, hours ...int) []schedule.Run {
	var runs []schedule.Run
	for _, hour := range hours {
		runs = append(runs, sent(batch(1, 1, at(hour, 0), id(n)))...)
	}
	return runs
}

// find audits the hours from 9:00 to 11:00 of the tests' day.
func find(t testing.TB, s *store.Store) (*audit.Report, []string) {
	t.Helper()
	report, err := audit.Run(t.Context(), s, at(8, 30), at(11, 30), audit.Options{}, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range report.Findings {
		found = append(found, fmt.Sprintf("%s: %s %s %d", f.Name, f.Kind, f.Slot.Format("15:04"), f.Count))
	}
	return report, found
}

func testAudit(t *testing.T, db Database) {
	s := hourly(t, db, 7)
	lease := acquire(t, s)
	runs := slices.Concat(
		ended(0, 8, 9, 10, 11),  // as it should be
		ended(1, 9, 11),         // a hole
		ended(2, 9, 10, 10, 11), // a double
		ended(3, 9, 10, 11),     // the last one early
		ended(4, 9),             // the rest is owed
		ended(5, 9, 10, 11),     // an hour late
		[]schedule.Run{{Entry: id(6), Slot: at(7, 0), Through: at(10, 0), Count: 4, State: schedule.Coalesced, Reason: schedule.ReasonMisfire}},
		ended(6, 11),
	)
	for i := range runs {
		run := &runs[i]
		switch {
		case run.Entry == id(3) && run.Slot.Equal(at(11, 0)):
			run.SentAt = at(11, 0).Add(-time.Millisecond)
		case run.Entry == id(5) && run.Slot.Equal(at(9, 0)):
			run.SentAt = at(10, 0)
		}
	}
	record(t, s, lease.Term, nil, runs)
	report, found := find(t, s)
	want := []string{
		"entry 1: missing 10:00 1", "entry 2: duplicate 10:00 1", "entry 3: early 11:00 1",
		"entry 5: late 09:00 1", "entry 4: overdue 10:00 2",
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	if report.Entries != 7 || report.Slots != 21 || report.Ended[schedule.Sent] != 16 || report.Ended[schedule.Coalesced] != 2 {
		t.Errorf("%d entries, %d slots, ended %v; want 7, 21, 16 sent and 2 coalesced", report.Entries, report.Slots, report.Ended)
	}
}

// What is not judged is said to be so: an entry whose row is edited and was not seen
// again, one that is off, one that is paused, one that is gone, one that is unreadable.
func testAuditOfWhatChanged(t *testing.T, db Database) {
	s := hourly(t, db, 7)
	lease := acquire(t, s)
	record(t, s, lease.Term, nil, slices.Concat(ended(0, 9, 10, 11), ended(6, 9, 10, 11)))
	edit := func(n int, set string) {
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET %s WHERE id = '%s'", set, id(n)))
	}
	edit(1, "cron_expression = '5 * * * *'")
	edit(2, "enabled = false")
	edit(3, "cron_expression = 'x'")
	db.Exec(t, fmt.Sprintf("DELETE FROM celery_beat_schedules WHERE id = '%s'", id(4)))
	if err := s.Pause(t.Context(), id(5), time.Time{}, "tests", "somebody"); err != nil {
		t.Fatal(err)
	}
	// It was remembered by an onebeat that did not note since when.
	db.Exec(t, fmt.Sprintf("UPDATE onebeat_entries SET spec_at = NULL WHERE entry_id = '%s'", id(6)))
	report, found := find(t, s)
	if len(found) != 0 {
		t.Errorf("found %q, want nothing", found)
	}
	want := map[string]int{"spec not seen yet by a node, which may have another --zone than this": 1, schedule.ReasonDisabled: 1, schedule.ReasonBadRow: 1, schedule.ReasonRemoved: 1, schedule.ReasonPaused: 1}
	if fmt.Sprint(report.Unjudged) != fmt.Sprint(want) {
		t.Errorf("unjudged %v, want %v", report.Unjudged, want)
	}
	if report.Entries != 2 || report.Slots != 6 {
		t.Errorf("%d entries and %d slots were judged, want 2 and 6", report.Entries, report.Slots)
	}

	// Once it was seen, an edited entry is judged since then, which is before the tests' day.
	load(t, s)
	record(t, s, lease.Term, nil, []schedule.Run{{Entry: id(1), Name: "n", Task: "t", Slot: at(10, 5), Count: 1, State: schedule.Sent, SentAt: at(10, 5)}})
	if _, found := find(t, s); !slices.Equal(found, []string{"entry 1: missing 09:05 1", "entry 1: overdue 11:05 1"}) {
		t.Errorf("found %q, want what the edited spec gives", found)
	}
}

// Entries are read in order and each once, however many to a page.
func testSubjects(t *testing.T, db Database) {
	s := hourly(t, db, 5)
	for _, page := range []int{1, 2, 5, 100} {
		var got []schedule.ID
		last := schedule.ID("")
		for rounds := 0; ; rounds++ {
			subjects, next, err := s.Subjects(t.Context(), last, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, subject := range subjects {
				got = append(got, subject.ID)
			}
			if next == "" {
				break
			}
			if last = next; rounds > 10 {
				t.Fatalf("pages of %d do not end", page)
			}
		}
		if want := []schedule.ID{id(0), id(1), id(2), id(3), id(4)}; !slices.Equal(got, want) {
			t.Errorf("in pages of %d the entries are %v, want %v", page, got, want)
		}
	}
}
