package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A grid is the slots of an entry: phase after each whole period since 1970, UTC.
// A crontab of every n-th minute of an hour is one too, if n divides 60.
type grid struct{ period, phase time.Duration }

func every(period time.Duration) grid { return grid{period: period} }

// slots returns those after one instant up to another.
func (g grid) slots(after, until time.Time) []time.Time {
	var slots []time.Time
	slot := after.UTC().Truncate(g.period).Add(g.phase - g.period)
	for ; !slot.After(until); slot = slot.Add(g.period) {
		if slot.After(after) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// next is the first slot after an instant.
func (g grid) next(after time.Time) time.Time { return g.slots(after, after.Add(2*g.period))[0] }

// An arrival is a message that was found in a queue, or that a worker ran.
type arrival struct {
	entry string
	slot  time.Time
	id    string
	at    time.Time // when a worker received it; zero where none did
}

// A window says which slots should have been sent: those after one instant up to
// another. Later ones may have been.
type window struct{ after, until time.Time }

// faults compares arrivals with the slots that were due: what is wrong, sorted.
// Repeats of a slot are left to the caller, in doubled.
func faults(grids map[string]grid, w window, arrivals []arrival) (wrong []string, doubled [][]arrival) {
	seen := map[string]map[time.Time][]arrival{}
	for _, a := range arrivals {
		g, known := grids[a.entry]
		switch {
		case !known:
			wrong = append(wrong, fmt.Sprintf("%q is no entry: slot %v", a.entry, a.slot))
		case !g.next(a.slot.Add(-time.Microsecond)).Equal(a.slot):
			wrong = append(wrong, fmt.Sprintf("%s: %v is no slot of it", a.entry, a.slot))
		case !a.slot.After(w.after):
			wrong = append(wrong, fmt.Sprintf("%s: slot %v was not owed", a.entry, a.slot))
		case !a.at.IsZero() && a.at.Before(a.slot):
			wrong = append(wrong, fmt.Sprintf("%s: slot %v came early, at %v", a.entry, a.slot, a.at))
		}
		if seen[a.entry] == nil {
			seen[a.entry] = map[time.Time][]arrival{}
		}
		seen[a.entry][a.slot] = append(seen[a.entry][a.slot], a)
	}
	for name, g := range grids {
		for _, slot := range g.slots(w.after, w.until) {
			if len(seen[name][slot]) == 0 {
				wrong = append(wrong, fmt.Sprintf("%s: slot %v is lost", name, slot))
			}
		}
		for _, times := range seen[name] {
			if len(times) > 1 {
				doubled = append(doubled, times)
			}
		}
	}
	slices.Sort(wrong)
	return wrong, doubled
}

// steps bounds what RabbitMQ may hold of a part beyond the last mark: there is a
// mark every so many messages.
const steps = 10

// A death is that of a node that led: it was gone by an instant, and led so many shards.
// Where that is right after a slot, it may have died while it published.
type death struct {
	gone   time.Time
	shards int
}

// excuses says whether the second of two equal messages came because of the death: what
// was sent on RabbitMQ beyond the last mark comes again, with the same task id.
func (d death) excuses(times []arrival) bool {
	ago := d.gone.Sub(times[0].slot)
	return ago >= 0 && ago < 500*time.Millisecond && len(times) == 2 && len(ids(times)) == 1
}

// check fails the test unless each slot of the window arrived exactly once, none
// early and none that was not due, and the ledger says the same.
func (s *site) check(t *testing.T, grids map[string]grid, w window, arrivals []arrival, deaths ...death) {
	t.Helper()
	wrong, doubled := faults(grids, w, arrivals)
	if s.broker.kind == rabbitmq {
		for _, d := range deaths {
			before := len(doubled)
			doubled = slices.DeleteFunc(doubled, d.excuses)
			if again, most := before-len(doubled), steps*d.shards; again > most {
				wrong = append(wrong, fmt.Sprintf("%d slots arrived again after the node was gone at %v, want %d at most", again, d.gone, most))
			}
		}
	}
	for _, times := range doubled {
		wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times, with the ids %v", times[0].entry, times[0].slot, len(times), ids(times)))
	}
	wrong = append(wrong, s.unrecorded(t, arrivals)...)
	report(t, wrong)
}

// unrecorded compares arrivals with the ledger: each slot that arrived is sent
// there, once, with its task's id, and no other is.
func (s *site) unrecorded(t *testing.T, arrivals []arrival) (wrong []string) {
	t.Helper()
	type key struct {
		entry string
		slot  time.Time
	}
	sent := map[key][]recorded{}
	unsure := map[key]string{} // its id: it may have arrived
	others := map[key][]string{}
	for _, r := range s.database.ledger(t) {
		if r.state == "unsure" {
			unsure[key{r.entry, r.slot.Time}] = r.taskID
		}
		if r.state != "sent" {
			k := key{r.entry, r.slot.Time}
			others[k] = append(others[k], fmt.Sprintf("%s (%s) by %s", r.state, r.reason, r.node))
			continue
		}
		k := key{r.entry, r.slot.Time}
		sent[k] = append(sent[k], r)
		if !r.sentAt.IsZero() && r.sentAt.Before(r.slot.Time) {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is recorded as sent early, at %v", r.entry, r.slot.Time, r.sentAt.Time))
		}
	}
	met := map[key]bool{}
	for _, a := range arrivals {
		k := key{a.entry, a.slot}
		met[k] = true
		switch runs := sent[k]; {
		case len(runs) == 0 && unsure[k] == a.id:
		case len(runs) != 1:
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is %d times in the ledger as sent, and as %q, want it once", a.entry, a.slot, len(runs), others[k]))
		case runs[0].taskID != a.id:
			wrong = append(wrong, fmt.Sprintf("%s: slot %v has the task id %s in the ledger, %s in the message", a.entry, a.slot, runs[0].taskID, a.id))
		}
	}
	for k := range sent {
		if !met[k] {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is in the ledger as sent and never arrived", k.entry, k.slot))
		}
	}
	return wrong
}

func ids(arrivals []arrival) []string {
	var all []string
	for _, a := range arrivals {
		if !slices.Contains(all, a.id) {
			all = append(all, a.id)
		}
	}
	return all
}

// report fails the test with what is wrong, the first of it.
func report(t *testing.T, wrong []string) {
	t.Helper()
	if len(wrong) == 0 {
		return
	}
	const shown = 12
	more := ""
	if len(wrong) > shown {
		more = fmt.Sprintf("\nand %d more", len(wrong)-shown)
	}
	t.Errorf("%d faults:\n%s%s", len(wrong), strings.Join(wrong[:min(len(wrong), shown)], "\n"), more)
}

// lateness returns how late the broker acknowledged each sent slot, sorted.
func lateness(runs []recorded) []time.Duration {
	var late []time.Duration
	for _, r := range runs {
		if r.state == "sent" && !r.sentAt.IsZero() {
			late = append(late, r.sentAt.Sub(r.slot.Time))
		}
	}
	slices.Sort(late)
	return late
}

// percentile is the nearest-rank percentile of sorted lengths.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func TestGridsAreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	after := time.Date(2026, 11, 23, 10, 59, 58, 0, time.UTC)
	for _, tt := range []struct {
		name string
		grid grid
		want []string
	}{
		{"each second", every(time.Second), []string{"10:59:59.00", "11:00:00.00", "11:00:01.00"}},
		{"each minute", every(time.Minute), []string{"11:00:00.00"}},
		{"each second, a quarter past", grid{time.Second, 250 * time.Millisecond}, []string{"10:59:58.25", "10:59:59.25", "11:00:00.25"}},
	} {
		var got []string
		for _, slot := range tt.grid.slots(after, after.Add(3*time.Second)) {
			got = append(got, slot.Format("15:04:05.00"))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: slots = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// accounted compares the ledger with the slots of a window: each has exactly one
// end there, be it sent, coalesced or skipped, and no other slot has one.
func (s *site) accounted(t *testing.T, grids map[string]grid, w window) (wrong []string) {
	t.Helper()
	ends := map[string]map[time.Time]int{}
	for _, r := range s.database.ledger(t) {
		g, known := grids[r.entry]
		if !known {
			wrong = append(wrong, fmt.Sprintf("%q is in the ledger and no entry", r.entry))
			continue
		}
		if ends[r.entry] == nil {
			ends[r.entry] = map[time.Time]int{}
		}
		through := r.slot.Time
		if !r.through.IsZero() {
			through = r.through.Time
		}
		slots := g.slots(r.slot.Add(-time.Microsecond), through)
		if len(slots) != r.count {
			wrong = append(wrong, fmt.Sprintf("%s: from %v to %v are %d slots, the ledger counts %d", r.entry, r.slot.Time, through, len(slots), r.count))
		}
		for _, slot := range slots {
			ends[r.entry][slot]++
		}
	}
	for name, g := range grids {
		for _, slot := range g.slots(w.after, w.until) {
			if n := ends[name][slot]; n != 1 {
				wrong = append(wrong, fmt.Sprintf("%s: slot %v has %d ends in the ledger, want 1", name, slot, n))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// once is what is wrong with arrivals wherever slots may end unsent too: repeats.
func once(arrivals []arrival) (wrong []string) {
	seen := map[arrival]int{}
	for _, a := range arrivals {
		seen[arrival{entry: a.entry, slot: a.slot}]++
	}
	for a, n := range seen {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times", a.entry, a.slot, n))
		}
	}
	slices.Sort(wrong)
	return wrong
}
