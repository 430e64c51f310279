// Package forecast counts how many slots the specs of entries give in each second
// of a time to come, and names the seconds with most of them.
//
// Entries with the same spec are counted together, so that a million entries of a
// few hundred specs cost a few hundred walks through the time. It is pure: no clock,
// no I/O. What a run makes of a slot (pauses, misfires, runs that people ask for) is
// not its matter.
package forecast

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An Entry is what is counted of an entry.
type Entry struct {
	Name string
	Spec schedule.Spec
	Left int64 // so many slots are left to it from now on; 0 is no bound
}

// A Report is what the entries have in (From, Until].
type Report struct {
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Entries int       `json:"entries"` // that have a spec
	Slots   int64     `json:"slots"`

	// Held are the slots that windows hold, which are not among Slots: those of the window with most first.
	Held []Held `json:"held"`

	// Worst are the seconds with most slots, those with most first.
	Worst []Second `json:"worst"`

	// Hours are the hours of the time, in order, from that of From on.
	Hours []Hour `json:"hours"`
}

// A Held is how many slots a window holds.
type Held struct {
	Window string `json:"window"`
	Slots  int64  `json:"slots"`
}

// A Second is a second in which entries have slots.
type Second struct {
	At    time.Time `json:"at"` // when it begins
	Slots int64     `json:"slots"`
	Names []string  `json:"entries"` // of some of the entries that have slots in it
	More  int       `json:"more"`    // entries beside those
}

// An Hour is an hour of the time, by the hours of UTC.
type Hour struct {
	At    time.Time `json:"at"` // when it begins
	Slots int64     `json:"slots"`
	Worst int64     `json:"worst_second"` // most slots in a second of it
}

// Most is the longest time that is counted: two million seconds and a half.
const Most = 31 * 24 * time.Hour

// named is how many entries of a second are named.
const named = 5

// A Count is the entries whose slots are counted. Make one with New.
//
// Of entries with the same spec it keeps the spec, how many they are and the names of some: little, however
// many they are.
type Count struct {
	now, from, until time.Time
	entries          int
	byRule           map[rule]*alike
	alike            []*alike // in the order in which they came
	slots            []int64  // by seconds after that of from
	held             map[string]int64
}

// A rule is what the slots of an entry hang on.
type rule struct {
	spec string
	left int64
}

// alike are entries with the same rule.
type alike struct {
	spec    schedule.Spec
	left    int64
	entries int
	names   []string // of the first of them

	// The first and the last slot that count, in Unix microseconds: some specs take long to say that there is no
	// other.
	first, last int64
}

// New returns a count of the slots in the time of the length, at most Most, after from. What is left to entries
// counts from now, if that is before.
func New(now, from time.Time, length time.Duration) *Count {
	from = from.UTC()
	return &Count{now: schedule.Earlier(now.UTC(), from), from: from, until: from.Add(min(length, Most)), byRule: map[rule]*alike{}}
}

// Add takes an entry in.
func (c *Count) Add(e Entry) {
	c.entries++
	key := rule{e.Spec.String(), max(e.Left, 0)}
	of, ok := c.byRule[key]
	if !ok {
		of = &alike{spec: e.Spec, left: key.left}
		c.byRule[key] = of
		c.alike = append(c.alike, of)
	}
	of.entries++
	if len(of.names) < named {
		of.names = append(of.names, e.Name)
	}
}

// Report counts, and names so many of the worst seconds. Progress is called from time to
// time with how many of the different specs were counted. It returns an error only when ctx ends.
func (c *Count) Report(ctx context.Context, worst int, progress func(done, all int)) (Report, error) {
	if err := c.count(ctx, progress); err != nil {
		return Report{}, err
	}
	report := Report{From: c.from, Until: c.until, Entries: c.entries, Held: []Held{}, Worst: []Second{}, Hours: []Hour{}}
	for window, slots := range c.held {
		report.Held = append(report.Held, Held{window, slots})
	}
	slices.SortFunc(report.Held, func(a, b Held) int { return cmp.Or(cmp.Compare(b.Slots, a.Slots), cmp.Compare(a.Window, b.Window)) })
	for i, n := range c.slots {
		report.Slots += n
		at := c.at(i)
		hour := at.Truncate(time.Hour)
		if last := len(report.Hours); last == 0 || !report.Hours[last-1].At.Equal(hour) {
			report.Hours = append(report.Hours, Hour{At: hour})
		}
		of := &report.Hours[len(report.Hours)-1]
		of.Slots += n
		of.Worst = max(of.Worst, n)
	}
	for _, i := range highest(c.slots, worst) { // each of which looks at all specs
		if ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		report.Worst = append(report.Worst, c.second(i))
	}
	return report, nil
}

// Fullest counts, and returns the fullest of the seconds in which one of the entries has a slot and another spec,
// unless that is nil, has none; zero if there is no such second. It returns an error only when ctx ends.
func (c *Count) Fullest(ctx context.Context, of Entry, but schedule.Spec) (Second, error) {
	if err := c.count(ctx, func(int, int) {}); err != nil {
		return Second{}, err
	}
	fullest := -1
	same := c.byRule[rule{of.Spec.String(), max(of.Left, 0)}]
	if same == nil {
		return Second{}, nil
	}
	for slot := same.spec.Next(c.from); same.counts(slot); slot = same.spec.Next(slot) {
		if i := c.place(slot); (fullest < 0 || c.slots[i] > c.slots[fullest]) && !c.within(i, but) {
			fullest = i
		}
	}
	if fullest < 0 {
		return Second{}, nil
	}
	return c.second(fullest), nil
}

func (c *Count) count(ctx context.Context, progress func(done, all int)) error {
	c.slots, c.held = make([]int64, c.until.Unix()-c.from.Unix()+1), map[string]int64{}
	for i, of := range c.alike {
		if err := c.walk(ctx, of); err != nil {
			return err
		}
		progress(i+1, len(c.alike))
	}
	return ctx.Err()
}

// looks is after how many slots of a walk it is asked whether it is to go on.
const looks = 256

// walk counts the slots of entries that are alike.
func (c *Count) walk(ctx context.Context, of *alike) error {
	of.first, of.last = math.MaxInt64, math.MinInt64
	begin := c.from
	if of.left > 0 {
		begin = c.now
	}
	spec, holder := schedule.Whole(of.spec)
	steps, sent := int64(0), int64(0)
	for slot := spec.Next(begin); !slot.IsZero() && !slot.After(c.until); slot = spec.Next(slot) {
		switch window := holder(slot); {
		case window != "":
			if slot.After(c.from) {
				c.held[window] += int64(of.entries)
			}
		default:
			if slot.After(c.from) {
				of.first, of.last = min(of.first, slot.UnixMicro()), slot.UnixMicro()
				c.slots[c.place(slot)] += int64(of.entries)
			}
			sent++ // what a window holds is not among the slots that an entry has left
		}
		if of.left > 0 && sent == of.left {
			break
		}
		if steps++; steps%looks == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			runtime.Gosched() // a daemon of one processor has slots to send meanwhile
		}
	}
	return ctx.Err()
}

// counts reports whether the slot, that the spec gives, is one that counted.
func (a *alike) counts(slot time.Time) bool {
	return !slot.IsZero() && a.first <= slot.UnixMicro() && slot.UnixMicro() <= a.last
}

// within reports whether a spec has a slot in a second.
func (c *Count) within(i int, spec schedule.Spec) bool {
	if spec == nil {
		return false
	}
	before, through := c.bounds(i)
	slot := spec.Next(before)
	return !slot.IsZero() && !slot.After(through)
}

// bounds are between what the slots of a second are: after the one, and not after the other.
func (c *Count) bounds(i int) (before, through time.Time) {
	at := c.at(i)
	return schedule.Later(at.Add(-time.Microsecond), c.from), schedule.Earlier(at.Add(time.Second-time.Microsecond), c.until)
}

// place is the place of an instant's second.
func (c *Count) place(at time.Time) int { return int(at.Unix() - c.from.Unix()) }

// at is when a second begins.
func (c *Count) at(i int) time.Time { return time.Unix(c.from.Unix()+int64(i), 0).UTC() }

// second names who is in a second.
func (c *Count) second(i int) Second {
	second := Second{At: c.at(i), Slots: c.slots[i]}
	before, through := c.bounds(i)
	entries := 0
	for _, of := range c.alike {
		if of.last < before.UnixMicro() || of.first > through.UnixMicro() {
			continue
		}
		slot := of.spec.Next(before)
		if slot.After(through) || !of.counts(slot) {
			continue
		}
		entries += of.entries
		second.Names = append(second.Names, of.names[:min(len(of.names), named-len(second.Names))]...)
	}
	second.More = entries - len(second.Names)
	return second
}

// highest returns the places of the n highest counts above zero, the highest first
// and of equal ones the first.
func highest(counts []int64, n int) []int {
	var top []int
	for i, count := range counts {
		if count == 0 || len(top) == n && count <= counts[top[n-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, count, func(i int, count int64) int {
			if counts[i] >= count {
				return -1
			}
			return cmp.Compare(count, counts[i])
		})
		top = slices.Insert(top, at, i)
		top = top[:min(len(top), n)]
	}
	return top
}
