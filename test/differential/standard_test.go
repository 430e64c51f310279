package differential

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/onebeat/onebeat/internal/schedule"
)

//go:embed croniter_next.py
var croniterNext string

// standardField makes the text of a field of the standard dialect that other crons read too. A
// day field that is set has no stars: crons differ on whether it is set then.
func (f fieldKind) standardField(r *rand.Rand, star float64, isDay bool) string {
	if r.Float64() < star {
		return "*"
	}
	value := func() string {
		n := f.first + r.IntN(f.size)
		if f.names != nil && r.IntN(3) == 0 {
			return strings.ToLower(f.names[n-f.first][:3])
		}
		return strconv.Itoa(n)
	}
	rising := func() string {
		from := f.first + r.IntN(f.size-1)
		return fmt.Sprintf("%d-%d", from, from+1+r.IntN(f.first+f.size-1-from))
	}
	parts := make([]string, 1+r.IntN(1+r.IntN(3)))
	for i := range parts {
		switch kind := r.IntN(5); {
		case kind == 0 && !isDay:
			parts[i] = fmt.Sprintf("*/%d", 1+r.IntN(f.size-1))
		case kind == 1:
			parts[i] = rising()
		case kind == 2:
			parts[i] = fmt.Sprintf("%s/%d", rising(), 1+r.IntN(f.size-1))
		default:
			parts[i] = value()
		}
	}
	return strings.Join(parts, ",")
}

// standardText makes six fields, seconds first.
func standardText(r *rand.Rand) []string {
	anyDay := 0.5
	if r.IntN(2) == 0 {
		anyDay = 1
	}
	return []string{
		fieldKinds[0].standardField(r, 0.1, false), fieldKinds[0].standardField(r, 0.2, false), fieldKinds[1].standardField(r, 0.3, false),
		fieldKinds[2].standardField(r, anyDay, true), fieldKinds[3].standardField(r, 0.6, false), fieldKinds[4].standardField(r, anyDay, true),
	}
}

// TestStandardSlotsAreRobfigs compares the slots after random instants with those of robfig/cron,
// in zones without changes of clocks, where all crons agree.
func TestStandardSlotsAreRobfigs(t *testing.T) {
	const instants = 10
	want := comparisons(t)
	parser := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	r := rand.New(rand.NewPCG(3, uint64(want)))
	var compared, never, different int
	for compared < want {
		text, zone := strings.Join(standardText(r), " "), zones[r.IntN(6)]
		location, err := schedule.Location(zone)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := parser.Parse(text)
		if err != nil {
			t.Fatalf("robfig/cron: %q: %v", text, err)
		}
		ours, err := schedule.Reading{Zone: zone, Standard: true}.Parse(text)
		if err != nil {
			if !theirs.Next(time.Unix(1e9, 0)).IsZero() {
				t.Fatalf("%q: %v, but robfig/cron has slots", text, err)
			}
			never++
			continue
		}
		for range instants {
			at := time.Unix(946684800+r.Int64N(1_200_000_000), 0).In(location) // 2000 to 2038
			theirs := theirs.Next(at)
			if theirs.IsZero() { // it looks no further than five years
				never++
				continue
			}
			compared++
			if got := ours.Next(at); !got.Equal(theirs) {
				if different++; different <= 20 {
					t.Errorf("%q in %s after %v: %v, robfig/cron %v", text, zone, at, got, theirs.UTC())
				}
			}
		}
	}
	t.Logf("compared %d slots of the standard dialect with robfig/cron: %d differences; besides, %d do not come for five years", compared, different, never)
}

// TestStandardDaysAreCroniters compares with croniter, which knows L and # as well.
func TestStandardDaysAreCroniters(t *testing.T) {
	const instants = 10
	want := comparisons(t) / 10
	croniter := startPython(t, croniterNext)
	r := rand.New(rand.NewPCG(4, uint64(want)))
	var compared, never, different int
	for compared < want {
		fields := standardText(r)
		lastDay := "" // as croniter writes it
		switch r.IntN(4) {
		case 0:
			fields[3], fields[5] = "L", "*"
		case 1:
			day := r.IntN(7)
			fields[3], fields[5], lastDay = "*", fmt.Sprintf("%dL", day), fmt.Sprintf("L%d", day)
		case 2:
			fields[3], fields[5] = "*", fmt.Sprintf("%d#%d", r.IntN(7), 1+r.IntN(5))
		}
		theirs := slices.Clone(fields)
		if lastDay != "" {
			theirs[5] = lastDay
		}
		spec, err := schedule.Reading{Standard: true}.Parse(strings.Join(fields, " "))
		if err != nil {
			never++
			continue
		}
		after := make([]float64, instants)
		for i := range after {
			after[i] = float64(946684800 + r.Int64N(1_200_000_000))
		}
		var answer slots
		croniter.ask(map[string]any{"text": strings.Join(theirs, " "), "after": after}, &answer)
		if answer.Error != "" {
			t.Fatalf("croniter: %q: %s", theirs, answer.Error)
		}
		for i, second := range after {
			compared++
			if got := spec.Next(time.Unix(int64(second), 0)); !got.Equal(answer.next(i)) {
				if different++; different <= 20 {
					t.Errorf("%q after %v: %v, croniter %v", fields, time.Unix(int64(second), 0).UTC(), got, answer.next(i))
				}
			}
		}
	}
	t.Logf("compared %d slots of the standard dialect with croniter %s: %d differences; %d crontabs never come", compared, croniter.version, different, never)
}
