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
	"runtime"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An Entry is what is counted of an entry.
type Entry struct {
	Name string
	Spec schedule.Spec
	Left int64 // so many slots are left to it; 0 is no bound
}

// A Report is what the entries have in (From, Until].
type Report struct {
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Entries int       `json:"entries"` // that have a spec
	Slots   int64     `json:"slots"`

	// Worst are the seconds with most slots, those with most first.
	Worst []Second `json:"worst"`

	// Hours are the hours of the time, in order, from that of From on.
	Hours []Hour `json:"hours"`
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
	from, until time.Time
	entries     int
	bySpec      map[ruled]*alike
	specs       []*alike // in the order in which they came
	slots       []int64  // by seconds after that of from
}

// ruled is what tells entries apart here.
type ruled struct {
	spec string
	left int64
}

// alike are entries with the same spec, of which as many slots are left.
type alike struct {
	spec    schedule.Spec
	left    int64
	entries int
	names   []string // of the first of them

	last time.Time // of their slots that count, once they were counted
}

// looks is after how many slots of a walk it is asked whether it is to go on.
const looks = 256

// walk goes through the slots in the count's time, until ctx ends.
func (c *Count) walk(ctx context.Context, spec schedule.Spec, left int64, each func(slot time.Time)) error {
	n := int64(0)
	for slot := spec.Next(c.from); !slot.IsZero() && !slot.After(c.until); slot = spec.Next(slot) {
		each(slot)
		if n++; n == left {
			break
		}
		if n%looks == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			runtime.Gosched() // a daemon of one processor has slots to send meanwhile
		}
	}
	return ctx.Err()
}

// New returns a count of the slots in the time of the length, at most Most, after from.
func New(from time.Time, length time.Duration) *Count {
	from = from.UTC()
	return &Count{from: from, until: from.Add(min(length, Most)), bySpec: map[ruled]*alike{}}
}

// Add takes an entry in.
func (c *Count) Add(e Entry) {
	c.entries++
	key := ruled{e.Spec.String(), e.Left}
	of, ok := c.bySpec[key]
	if !ok {
		of = &alike{spec: e.Spec, left: e.Left}
		c.bySpec[key] = of
		c.specs = append(c.specs, of)
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
	report := Report{From: c.from, Until: c.until, Entries: c.entries, Worst: []Second{}, Hours: []Hour{}}
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

// Fullest counts, and returns the fullest of the seconds in which one of the entries has a
// slot; zero if it has none. It returns an error only when ctx ends.
func (c *Count) Fullest(ctx context.Context, of Entry) (Second, error) {
	if err := c.count(ctx, func(int, int) {}); err != nil {
		return Second{}, err
	}
	fullest := -1
	err := c.walk(ctx, of.Spec, of.Left, func(slot time.Time) {
		if i := int(slot.Unix() - c.from.Unix()); fullest < 0 || c.slots[i] > c.slots[fullest] {
			fullest = i
		}
	})
	if err != nil || fullest < 0 {
		return Second{}, err
	}
	return c.second(fullest), nil
}

func (c *Count) count(ctx context.Context, progress func(done, all int)) error {
	begin := c.from.Unix()
	c.slots = make([]int64, c.until.Unix()-begin+1)
	for i, of := range c.specs {
		err := c.walk(ctx, of.spec, of.left, func(slot time.Time) {
			c.slots[slot.Unix()-begin] += int64(of.entries)
			of.last = slot
		})
		if err != nil {
			return err
		}
		progress(i+1, len(c.specs))
	}
	return ctx.Err()
}

// at is when a second begins.
func (c *Count) at(i int) time.Time { return time.Unix(c.from.Unix()+int64(i), 0).UTC() }

// second names who is in a second.
func (c *Count) second(i int) Second {
	second := Second{At: c.at(i), Slots: c.slots[i]}
	before, through := latest(second.At.Add(-time.Microsecond), c.from), earliest(second.At.Add(time.Second-time.Microsecond), c.until)
	entries := 0
	for _, of := range c.specs {
		slot := of.spec.Next(before)
		if slot.IsZero() || slot.After(through) || slot.After(of.last) {
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

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
