package store

import (
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// commons are specs that were read, by their texts and zones: of a million rows most have few specs, and each is
// read, and its digest made, but once. The zero commons are none.
type commons struct {
	known map[commonText]*common
	last  *common // rows that were made together mostly have the same
}

type commonText struct{ spec, zone string }

// A common is a spec that means the same in all rows that have its text and zone, and no rules around it.
type common struct {
	commonText
	spec   schedule.Spec
	digest uint64

	after, first time.Time // the first slot after an instant, which most rows that are new have alike
}

// next is the spec's first slot after an instant.
func (c *common) next(after time.Time) time.Time {
	if !after.Equal(c.after) || c.after.IsZero() {
		c.after, c.first = after, c.spec.Next(after)
	}
	return c.first
}

// next is the first slot after an instant that a spec gives which was made of the row.
func (r *row) next(spec schedule.Spec, after time.Time) time.Time {
	if r.common != nil {
		return r.common.next(after)
	}
	return spec.Next(after)
}

// mostCommons bounds them: where most specs differ, they would be of no use. Each minute of a week is 10,080.
const mostCommons = 1 << 14

// of returns what the row's spec is, or nil if that says only the row.
func (c *commons) of(r *row, zone string) *common {
	if r.oneOff || r.problem != "" || len(r.rules) > 0 && r.written() != "" {
		return nil
	}
	text := commonText{r.spec, zone}
	if c.last != nil && c.last.commonText == text {
		return c.last
	}
	one, ok := c.known[text]
	if !ok {
		if one = c.read(r, text); one == nil {
			return nil
		}
	}
	c.last = one
	return one
}

func (c *commons) read(r *row, text commonText) *common {
	if !forAll(r.spec) {
		return nil
	}
	spec, err := schedule.Reading{Zone: text.zone}.Parse(r.spec)
	if err != nil { // which is the row's problem
		return nil
	}
	if c.known == nil || len(c.known) == mostCommons {
		c.known = map[commonText]*common{}
	}
	text = commonText{strings.Clone(text.spec), strings.Clone(text.zone)}
	one := &common{commonText: text, spec: spec, digest: r.digestOfSpec(text.zone)}
	c.known[text] = one
	return one
}

// forAll says whether a spec depends on nothing but its text and zone: not on when its row was made, nor on its id.
func forAll(spec string) bool {
	if strings.HasPrefix(spec, "@every ") {
		return strings.Contains(spec, " from ")
	}
	return !strings.Contains(spec, "@")
}
