package differential

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

//go:embed dateutil_next.py
var dateutilNext string

// TestRecurrencesAreDateutils compares the slots after random instants, for random rules
// of RFC 5545, in a zone without changes of clocks. Each question costs dateutil a walk from the
// rule's start, so most of them are close to it.
func TestRecurrencesAreDateutils(t *testing.T) {
	const instants = 10
	want := comparisons(t)
	dateutil := startPython(t, dateutilNext)
	r := rand.New(rand.NewPCG(5545, uint64(want)))
	var compared, ended, refused, different int
	for compared < want {
		rule, unit := anyRule(r)
		start := time.Unix(946684800+r.Int64N(1_200_000_000), 0).UTC() // 2000 to 2038
		spec, err := schedule.NewRecurrence(rule, start, "")
		if err != nil {
			refused++ // it gives nothing, or not as many as its COUNT
			continue
		}
		after, periods := make([]time.Time, instants), int64(200)
		if r.IntN(10) == 0 {
			periods = 2000
		}
		for i := range after {
			after[i] = start.Add(time.Duration(r.Int64N(periods)-10) * unit / 2)
			if spec.Next(after[i]).Sub(after[i]) > 8*365*24*time.Hour && unit < time.Hour {
				after[i] = start // it would take dateutil minutes to go there
			}
		}
		var answer struct {
			Next  [][]int
			Error string
		}
		dateutil.ask(map[string]any{"rule": rule, "start": clockOf(start), "after": mapped(after)}, &answer)
		if answer.Error != "" {
			t.Fatalf("%s from %v: %s", rule, start, answer.Error)
		}
		for i, at := range after {
			compared++
			got := spec.Next(at)
			var theirs time.Time
			if n := answer.Next[i]; n != nil {
				theirs = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
			} else {
				ended++
			}
			if !got.Equal(theirs) {
				if different++; different <= 20 {
					t.Errorf("%s from %v after %v: %v, dateutil %v", rule, start, at, got, theirs)
				}
			}
		}
	}
	t.Logf("compared %d slots of rules with dateutil %s: %d differences; %d rules had ended; %d rules give nothing", compared, dateutil.version, different, ended, refused)
}

func clockOf(t time.Time) []int {
	return []int{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()}
}

func mapped(times []time.Time) (all [][]int) {
	for _, t := range times {
		all = append(all, clockOf(t))
	}
	return all
}

// anyRule makes a rule and says how long about its periods are.
func anyRule(r *rand.Rand) (rule string, unit time.Duration) {
	const day = 24 * time.Hour
	frequencies := []struct {
		name string
		unit time.Duration
	}{{"YEARLY", 365 * day}, {"MONTHLY", 30 * day}, {"WEEKLY", 7 * day}, {"DAILY", day}, {"HOURLY", time.Hour}, {"MINUTELY", time.Minute}, {"SECONDLY", time.Second}}
	which := r.IntN(len(frequencies))
	parts := []string{"FREQ=" + frequencies[which].name}
	add := func(chance int, format string, values ...any) {
		if r.IntN(100) < chance {
			parts = append(parts, fmt.Sprintf(format, values...))
		}
	}
	list := func(low, high int, negative bool) string {
		items := make([]string, 1+r.IntN(3))
		for i := range items {
			n := low + r.IntN(high-low+1)
			if negative && r.IntN(3) == 0 {
				n = -n
			}
			items[i] = fmt.Sprint(n)
		}
		return strings.Join(items, ",")
	}
	days := []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}
	someDays := func(ordered bool) string {
		items := make([]string, 1+r.IntN(3))
		for i := range items {
			items[i] = days[r.IntN(7)]
			if ordered && r.IntN(2) == 0 {
				items[i] = fmt.Sprint([]int{-2, -1, 1, 2, 3, 4}[r.IntN(6)]) + items[i]
			}
		}
		return strings.Join(items, ",")
	}
	add(50, "INTERVAL=%d", 1+r.IntN(5))
	add(20, "WKST=%s", days[r.IntN(7)])
	add(25, "BYMONTH=%s", list(1, 12, false))
	add(20, "BYMONTHDAY=%s", list(1, 31, true))
	add(30, "BYDAY=%s", someDays(which < 2))
	if which == 0 {
		add(15, "BYYEARDAY=%s", list(1, 366, true))
		add(15, "BYWEEKNO=%s", list(1, 53, true))
	}
	add(25, "BYHOUR=%s", list(0, 23, false))
	add(25, "BYMINUTE=%s", list(0, 59, false))
	add(15, "BYSECOND=%s", list(0, 59, false))
	if len(parts) > 1 {
		add(20, "BYSETPOS=%s", list(1, 4, true))
	}
	switch r.IntN(4) {
	case 0:
		add(100, "COUNT=%d", 1+r.IntN(30))
	case 1:
		add(100, "UNTIL=%d0301T093000", 2001+r.IntN(40))
	}
	return strings.Join(parts, ";"), frequencies[which].unit
}
