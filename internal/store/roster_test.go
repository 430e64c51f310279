package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// leadAnew lets another lead in the place of who leads, and tells it of these first.
func (h *heard) leadAnew(t *testing.T, ids ...string) *lead {
	t.Helper()
	leader := h.leads[0]
	leader.over.Store(true)
	next := &lead{ctx: t.Context(), ids: ids, failed: make(chan error, 1), watcher: leader.watcher, asked: map[string]bool{}}
	h.coming = append(h.coming, next)
	if err := h.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return next
}

// Where no trigger tells of edits, a node that comes to lead tells of entries that are due now or had a slot just before, as they are by now, before
// it looks at all rows. Where there are many of them it looks first; others wait for that look in any case.
func TestWhatIsDueDoesNotWaitForALookAtAllRows(t *testing.T) {
	const rows, late = 20 * dearer, 7
	for _, tt := range []struct {
		name string
		due  int
		wait bool
	}{
		{"few are due", 20, false},
		{"many are due", 21, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hear(t, 1)
			h.exec("DELETE FROM celery_beat_schedules")
			h.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
				INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression)
				SELECT printf('%%05d', i), 'as it was', 't', iif(i <= %d OR i = %d, '@every 1s', '0 0 29 2 *') FROM n`, rows, tt.due, tt.due+late))
			if err := h.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.writeLater(t.Context()); err != nil {
				t.Fatal(err)
			}
			for id, k := range h.seen.All() {
				switch number := string(id); {
				case number <= fmt.Sprintf("%05d", tt.due):
					k.next = time.Now().Add(endedAhead + 500*time.Millisecond).UnixMicro() // it had no slot since
				case number == fmt.Sprintf("%05d", tt.due+late):
					k.next = 0 // it was told of when this process led before, and is due each second
				case number == fmt.Sprintf("%05d", rows-1):
					k.next = 0 // so was this, and it is not due
				case number <= fmt.Sprintf("%05d", tt.due+late):
					k.next = time.Now().Add(-near - refreshInterval).UnixMicro() // while who led was frozen, say
				default:
					k.next = time.Now().Add(time.Hour).UnixMicro()
				}
				h.seen.Set(id, k)
			}
			for _, id := range []string{"00001", "00002", fmt.Sprintf("%05d", rows)} {
				h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '" + id + "'")
			}
			h.exec("DELETE FROM celery_beat_schedules WHERE id = '00003'")
			h.exec("DELETE FROM onebeat_changes") // no trigger tells of it
			h.hints = false
			h.news = map[schedule.ID][]schedule.Change{}
			looked := false
			h.feed.written_ = func(_ context.Context, ids []string, count int) ([]string, int, error) {
				looked = true
				want := tt.due + late
				if tt.wait {
					want = 0
				}
				if len(h.news) != want {
					t.Errorf("%d entries were told of before all rows were looked at, want %d", len(h.news), want)
				}
				for id := range h.news {
					if id > schedule.ID(fmt.Sprintf("%05d", tt.due+late)) {
						t.Errorf("%s was told of, which is not due, before all rows were looked at", id)
					}
				}
				return ids, count, nil
			}
			h.leadAnew(t)
			if !looked {
				t.Error("all rows were never looked at")
			}
			if len(h.news) != rows {
				t.Errorf("%d entries were told of, want all %d", len(h.news), rows)
			}
			for id, news := range h.news {
				names := make([]string, len(news))
				for i, change := range news {
					names[i] = change.Name
				}
				if id <= schedule.ID(fmt.Sprintf("%05d", tt.due)) && len(news) != 1 {
					t.Errorf("told of %s, which is due, %d times: %v, want once", id, len(news), names)
				}
				switch id {
				case "00003":
					if news[0].Reason != schedule.ReasonRemoved {
						t.Errorf("told of %s as %v, want that it is gone alone", id, names)
					}
				case "00001", "00002", schedule.ID(fmt.Sprintf("%05d", rows)):
					if slices.Contains(names, "as it was") {
						t.Errorf("told of %s as %v, want it as it is now alone", id, names)
					}
				}
			}
		})
	}
}

// Who comes to lead in the midst of a herd tells first of what few others had due, then of what will be due within a minute and
// is not held in memory, then of the herd, which takes long to be read, and last of the rest.
func TestAHerdDoesNotKeepWhoComesToLeadFromOthers(t *testing.T) {
	const herd, others = chunk + 1, 3
	h := hear(t, herd+3*others)
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	group := func(id schedule.ID) int { // in the order in which they are to be told of
		number, err := strconv.Atoi(string(id))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case number <= others:
			return 3
		case number <= others+herd:
			return 2
		case number <= others+herd+others:
			return 1
		}
		return 0
	}
	for id, k := range h.seen.All() {
		switch group(id) {
		case 0:
			k.next = at.Add(-near - 3*time.Second).UnixMicro()
		case 1:
			k.next = at.Add(30 * time.Second).UnixMicro()
			delete(h.held, id)
		case 2:
			k.next = at.Add(-near - time.Second).UnixMicro()
		case 3:
			k.next = at.Add(30 * time.Minute).UnixMicro()
			delete(h.held, id)
		}
		h.seen.Set(id, k)
	}
	var told []schedule.ID
	h.tells = func(change schedule.Change) { told = append(told, change.ID) }
	h.leadAnew(t)
	if len(told) != herd+3*others {
		t.Errorf("told of %d entries, want each of %d once", len(told), herd+3*others)
	}
	if !slices.IsSortedFunc(told, func(a, b schedule.ID) int { return group(a) - group(b) }) {
		t.Errorf("told of the herd before others that are due, or of what is not before it: %v", told)
	}
}

// Who leads again soon, and does not hold all definitions in memory, tells of those first of which it knows no slot and that are due every few
// minutes: the others may take long to be read.
func TestWhoLeadsAgainTellsOfWhatIsDueOften(t *testing.T) {
	for _, blank := range []int{10, chunk + 10} {
		t.Run(fmt.Sprint(blank), func(t *testing.T) {
			const held, often = chunk, 3
			h := hear(t, blank+held)
			h.exec("UPDATE celery_beat_schedules SET cron_expression = '0 0 29 2 *'")
			h.exec(fmt.Sprintf("UPDATE celery_beat_schedules SET cron_expression = '@every 1s' WHERE id > '%05d'", held+blank-often))
			if err := h.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.writeLater(t.Context()); err != nil {
				t.Fatal(err)
			}
			for id, k := range h.seen.All() {
				k.next = 0 // it was told of when this process led before
				if id > schedule.ID(fmt.Sprintf("%05d", held)) {
					delete(h.held, id)
				}
				h.seen.Set(id, k)
			}
			var told []schedule.ID
			h.tells = func(change schedule.Change) { told = append(told, change.ID) }
			h.leadAnew(t)
			if len(told) != blank+held {
				t.Fatalf("told of %d entries, want each of %d once", len(told), blank+held)
			}
			first := blank
			if blank > chunk {
				first = often
			}
			for _, id := range told[:first] {
				if id <= schedule.ID(fmt.Sprintf("%05d", held+blank-first)) {
					t.Errorf("told of %s among the first %d, want those that are due each second", id, first)
				}
			}
		})
	}
}

// What a lead told first is forgotten once it has told of all, or when another comes: after many lost nodes it would be the whole catalog.
func TestWhatCameFirstIsForgotten(t *testing.T) {
	h := hear(t, 1)
	for n := range 3 {
		next := h.leadAnew(t, fmt.Sprint(n))
		if len(next.ids) > 0 || len(h.whole) != 1 || !h.whole[fmt.Sprint(n)] {
			t.Errorf("after lead %d has told of all, %d ids are to come first, and whole are %v; want those that it named alone", n, len(next.ids), h.whole)
		}
	}
}
