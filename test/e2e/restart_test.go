package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// A restart neither repeats a slot nor forgets one, wherever last_run_at lives
// and however the node ended; kept in memory alone, it begins anew.
func TestRestartsRepeatAndForgetNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		home    string
		kind    string
		shape   string
		migrate bool // adds the columns
		flags   []string
	}{
		{"onebeat's own table, shape A", postgres, shapeA, false, nil},
		{"onebeat's own table, shape C", sqlite, shapeC, false, nil},
		{"the column last_run_at, shape D", postgres, shapeD, false, nil},
		{"the column last_run_at, shape D", sqlite, shapeD, false, nil},
		{"the columns that migrate adds", postgres, shapeA, true, nil},
		{"the columns that migrate adds", sqlite, shapeC, true, nil},
		{"memory", postgres, shapeD, false, []string{"--home", "memory"}},
		{"memory", sqlite, shapeA, false, []string{"--home", "memory"}},
	} {
		t.Run(tt.home+", "+tt.kind, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, tt.kind)
			d.makeTable(t, tt.shape)
			s := newBareSite(t, d, newBroker(t, redis))
			if tt.migrate {
				s.command(t, "migrate")
			}
			grids := s.herd(t, 5)

			// A SIGTERM in the middle of a second, then a SIGKILL a moment after a
			// slot, when it has gone out and may not be recorded.
			first := s.serve(t, tt.flags...)
			loaded := []time.Time{timeOf(t, first.find(t, "entries loaded")[0])}
			ended := []time.Time{time.Now().Truncate(time.Second).Add(2500 * time.Millisecond)}
			until(t, ended[0])
			first.stop(t)
			until(t, ended[0].Add(time.Second))
			second := s.serve(t, tt.flags...)
			loaded = append(loaded, timeOf(t, second.find(t, "entries loaded")[0]))
			ended = append(ended, time.Now().Truncate(time.Second).Add(2005*time.Millisecond))
			until(t, ended[1])
			second.kill()
			until(t, ended[1].Add(time.Second))
			third := s.serve(t, tt.flags...)
			loaded = append(loaded, timeOf(t, third.find(t, "entries loaded")[0]))
			last := time.Now().Truncate(time.Second).Add(2 * time.Second)
			s.awaitSent(t, "herd 0", last, 10*time.Second)
			third.stop(t)

			arrivals := s.broker.arrivals(t)
			if tt.home != "memory" {
				s.check(t, grids, window{d.firstStart(t), last}, arrivals)
				s.checkState(t, tt.migrate, tt.shape)
				return
			}
			report(t, append(once(arrivals), s.unrecorded(t, arrivals)...))
			const settle = 100 * time.Millisecond
			for i := range loaded {
				end := last
				if i < len(ended) {
					end = ended[i].Add(-settle)
				}
				wrong, _ := faults(grids, window{loaded[i], end}, after(arrivals, loaded[i]))
				report(t, wrong)
				if i > 0 {
					for _, slot := range every(time.Second).slots(ended[i-1].Add(settle), loaded[i].Add(-settle)) {
						for _, a := range arrivals {
							// What was claimed is kept all the same, and sent by the next start.
							if a.slot.Equal(slot) && slot.Sub(ended[i-1]) > time.Second {
								t.Errorf("%s: slot %v came while nothing ran, want it forgotten", a.entry, slot)
							}
						}
					}
				}
			}
		})
	}
}

// checkState fails the test unless the last slot and the number of messages of
// each entry are kept in their home, and are those of the ledger.
func (s *site) checkState(t *testing.T, migrated bool, shape string) {
	t.Helper()
	type state struct {
		last  time.Time
		count int
	}
	want := map[string]state{}
	for _, r := range s.database.ledger(t) {
		if r.state == "sent" {
			w := want[r.entry]
			want[r.entry] = state{r.slot.Time, w.count + 1} // in order of slot
		}
	}
	last, count := "e.last_slot", "e.total_run_count"
	if migrated || shape == shapeD {
		last = "s.last_run_at"
	}
	if migrated {
		count = "s.total_run_count"
	}
	s.database.each(t, fmt.Sprintf(`SELECT s.name, %s, %s FROM celery_beat_schedules AS s
		JOIN onebeat_entries AS e ON e.entry_id = CAST(s.id AS text)`, last, count), func(scan func(...any)) {
		var name string
		var at harness.Moment
		var got state
		scan(&name, &at, &got.count)
		got.last = at.Time
		// What other programs read in a column is the slot, without its zone where
		// the column has none.
		if !got.last.Equal(want[name].last) {
			t.Errorf("%s of %s = %v, want the last slot, %v", last, name, got.last, want[name].last)
		}
		if got.count != want[name].count {
			t.Errorf("%s of %s = %d, want %d", count, name, got.count, want[name].count)
		}
		delete(want, name)
	})
	if len(want) > 0 {
		t.Errorf("the state of %d entries is kept nowhere", len(want))
	}
}

// The first start on a table that another scheduler ran sends nothing for the
// past, and once for each entry if it is told to catch up.
func TestTheFirstStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, sqlite} {
		for _, tt := range []struct {
			name  string
			flags []string
			want  int
		}{
			{"sends nothing for the past", nil, 0},
			{"catches up when it is told to", []string{"--catch-up"}, 1},
		} {
			t.Run(tt.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t, kind)
				d.makeTable(t, shapeD)
				s := newBareSite(t, d, newBroker(t, redis))
				s.broker.declare(t, "default")
				// Slots half an hour ago and each hour before; the Python scheduler
				// never moved last_run_at on.
				phase := time.Now().UTC().Truncate(time.Second).Add(-30 * time.Minute)
				d.insert(t,
					item{"name": "hourly", "cron_expression": "@every 1h", "created_at": phase.Add(-30 * 24 * time.Hour), "last_run_at": phase.Add(-3 * time.Hour)},
					item{"name": "herd 0", "cron_expression": "@every 1s"})
				n := s.serve(t, tt.flags...)
				s.awaitSent(t, "herd 0", time.Now().Truncate(time.Second).Add(2*time.Second), 10*time.Second)
				n.stop(t)
				var got []arrival
				for _, a := range s.broker.arrivals(t) {
					if a.entry == "hourly" {
						got = append(got, a)
					}
				}
				if len(got) != tt.want {
					t.Fatalf("%d messages for the past, want %d: %v", len(got), tt.want, got)
				}
				coalesced := 0
				for _, r := range d.ledger(t) {
					if r.entry == "hourly" && r.state == "coalesced" {
						coalesced += r.count
					}
				}
				if tt.want == 1 && (!got[0].slot.Equal(phase) || coalesced != 2) {
					t.Errorf("caught up with slot %v and %d coalesced into it, want %v and the 2 since last_run_at", got[0].slot, coalesced, phase)
				}

				// The next start owes nothing more, told or not.
				n = s.serve(t, "--catch-up")
				s.awaitSent(t, "herd 0", time.Now().Truncate(time.Second).Add(2*time.Second), 10*time.Second)
				n.stop(t)
				if again := s.sent(t, "hourly"); again != tt.want {
					t.Errorf("after another start %d messages for the past, want %d", again, tt.want)
				}
			})
		}
	}
}

// What was missed while nothing ran is settled by each entry's policy, and each
// slot has one end.
func TestMisfires(t *testing.T) {
	t.Parallel()
	const period = 4 * time.Second
	for _, kind := range []string{postgres, mariadb, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, redis)
			s.broker.declare(t, "default")
			// Of the three slots that are missed, which are sent; all with a grace of a second.
			policies := []struct {
				name string
				item item
				want [3]string
			}{
				{"once", item{}, [3]string{"coalesced", "coalesced", "sent"}},
				{"skip", item{"misfire_policy": "skip"}, [3]string{"skipped", "skipped", "skipped"}},
				{"all", item{"misfire_policy": "all"}, [3]string{"sent", "sent", "sent"}},
				{"all, two at most", item{"misfire_policy": "all", "misfire_max_count": 2}, [3]string{"skipped", "sent", "sent"}},
				{"all, of the last 5s", item{"misfire_policy": "all", "misfire_max_age_seconds": 5}, [3]string{"skipped", "skipped", "sent"}},
				{"once, of the last 1.5s", item{"misfire_max_age_seconds": 1.5}, [3]string{"skipped", "skipped", "skipped"}},
			}
			grids := map[string]grid{}
			for _, p := range policies {
				p.item["name"], p.item["cron_expression"], p.item["misfire_grace_seconds"] = p.name, "@every 4s", 1
				s.database.insert(t, p.item)
				grids[p.name] = every(period)
			}
			n := s.serve(t)
			before := every(period).next(time.Now())
			s.awaitSent(t, "once", before, 10*time.Second)
			n.stop(t)

			until(t, before.Add(3*period+2*time.Second)) // in the middle between two slots
			n = s.serve(t)
			loaded := timeOf(t, n.find(t, "entries loaded")[0])
			if loaded.After(before.Add(4 * period)) {
				t.Fatalf("the machine took until %v to start a node: slots of after the outage are among the missed", loaded)
			}
			last := before.Add(4 * period)
			s.awaitSent(t, "once", last, 10*time.Second)
			n.stop(t)

			w := window{s.database.firstStart(t), last}
			arrivals := s.broker.arrivals(t)
			wrong := append(once(arrivals), s.unrecorded(t, arrivals)...)
			report(t, append(wrong, s.accounted(t, grids, w)...))
			for _, p := range policies {
				for i, want := range p.want {
					slot := before.Add(time.Duration(i+1) * period)
					if got := s.endOf(t, p.name, slot); got != want {
						t.Errorf("policy %s: missed slot %d of 3 ended as %q, want %s", p.name, i+1, got, want)
					}
				}
			}
		})
	}
}

// endOf is the state that the ledger has for a slot.
func (s *site) endOf(t *testing.T, entry string, slot time.Time) string {
	t.Helper()
	for _, r := range s.database.ledger(t) {
		through := r.slot.Time
		if !r.through.IsZero() {
			through = r.through.Time
		}
		if r.entry == entry && !slot.Before(r.slot.Time) && !slot.After(through) {
			return r.state
		}
	}
	return ""
}
