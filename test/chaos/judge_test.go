package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// begin is when the stories of these tests begin.
var begin = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(second float64) time.Time {
	return begin.Add(time.Duration(second * float64(time.Second)))
}

// told is a story of ten seconds in which all is well: an entry of each kind, of which
// the edited one goes from each second to each second second after five.
func told() *story {
	s := &story{from: begin, until: at(10), once: true}
	for _, g := range []*group{
		{"owed", 1, time.Second, volume, owed},
		{"policy", 1, time.Second, volume, byPolicy},
		{"careful", 1, time.Second, volume, atMostOnce},
		{"edited", 1, time.Second, volume, edited},
	} {
		e := &entry{name: g.name, group: g, edits: []edit{{period: time.Second}}}
		if g.kind == edited {
			e.edits = append(e.edits, edit{period: 2 * time.Second, asked: at(5.2), committed: at(5.3)})
		}
		s.entries = append(s.entries, e)
		for second := 1.0; second <= 12; second++ {
			a := arrival{entry: g.name, slot: at(second), id: fmt.Sprint(g.name, second), at: at(second + 0.01)}
			if g.kind == edited && second > 5 {
				if int(second)%2 == 1 {
					continue
				}
				a.edit = 1
			}
			s.arrivals = append(s.arrivals, a)
			s.ledger = append(s.ledger, end{entry: g.name, state: "sent", id: a.id, node: "a-1", term: 2, slot: a.slot, through: a.slot, sent: at(second + 0.005), count: 1})
		}
	}
	return s
}

// drop leaves out what came of a slot, and gives it another end in the ledger.
func (s *story) drop(entry string, second float64, state, reason string) {
	s.arrivals = slices.DeleteFunc(s.arrivals, func(a arrival) bool { return a.entry == entry && a.slot.Equal(at(second)) })
	for i := range s.ledger {
		if e := &s.ledger[i]; e.entry == entry && e.slot.Equal(at(second)) {
			e.state, e.reason = state, reason
		}
	}
}

// repeat lets a slot come again.
func (s *story) repeat(entry string, second, when float64) *arrival {
	for _, a := range s.arrivals {
		if a.entry == entry && a.slot.Equal(at(second)) {
			a.at = at(when)
			s.arrivals = append(s.arrivals, a)
			return &s.arrivals[len(s.arrivals)-1]
		}
	}
	panic("there is no such slot")
}

func (s *story) trouble(from, until float64) {
	s.spans = append(s.spans, span{kind: "kill", from: at(from), until: at(until), connections: 1})
}

func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*story)
		want  string // in what is wrong; empty for nothing
	}{
		{"all is well", func(*story) {}, ""},
		{"a slot is lost", func(s *story) { s.drop("owed", 4, "sent", "") }, `owed: slot 2026-11-25 12:00:04 +0000 UTC is missing; the ledger has it as "sent"`},
		{"a slot that is owed is skipped", func(s *story) { s.drop("owed", 4, "skipped", "misfire") }, "is missing"},
		{"a slot is skipped by its policy in trouble", func(s *story) { s.drop("policy", 4, "skipped", "misfire"); s.trouble(3, 9) }, ""},
		{"others of its second were late too", func(s *story) {
			s.drop("policy", 4, "coalesced", "misfire")
			for i := range s.arrivals {
				if s.arrivals[i].slot.Equal(at(4)) {
					s.arrivals[i].at = at(10)
				}
			}
		}, ""},
		{"a slot is skipped by its policy, and nothing was wrong", func(s *story) { s.drop("policy", 4, "skipped", "misfire") }, "is missing"},
		{"a slot is skipped for another reason", func(s *story) { s.drop("policy", 4, "skipped", "paused"); s.trouble(3, 9) }, "is missing"},
		{"a slot is unsure, on RabbitMQ", func(s *story) { s.once = false; s.drop("careful", 4, "unsure", "") }, ""},
		{"a slot is unsure, on Redis", func(s *story) { s.drop("careful", 4, "unsure", "") }, "is missing"},
		{"a slot that was too late is unsure, on RabbitMQ", func(s *story) { s.once = false; s.drop("policy", 4, "unsure", ""); s.trouble(3, 9) }, ""},
		{"a slot is unsure, on RabbitMQ, and came", func(s *story) { s.once = false; s.ledger[15].state = "unsure" }, ""},
		{"a slot that is sent at least once is unsure", func(s *story) { s.once = false; s.drop("owed", 4, "unsure", ""); s.trouble(3, 9) }, "is missing"},
		{"a slot came twice", func(s *story) { s.repeat("owed", 4, 4.5) }, "owed: slot 2026-11-25 12:00:04 +0000 UTC came 2 times"},
		{"a slot came twice in trouble, on Redis", func(s *story) { s.repeat("owed", 4, 4.5); s.trouble(3, 9) }, "came 2 times"},
		{"a slot came twice in trouble, on RabbitMQ", func(s *story) { s.once = false; s.repeat("owed", 4, 4.5); s.trouble(3, 9) }, ""},
		{"a slot came twice on RabbitMQ, and nothing was wrong", func(s *story) { s.once = false; s.repeat("owed", 4, 4.5); s.trouble(8, 9) }, "came 2 times"},
		{"more came twice than a connection may repeat", func(s *story) {
			s.once = false
			s.trouble(3, 9)
			for range step + 1 {
				s.repeat("owed", 4, 4.5)
			}
		}, "11 messages were repeated, want 10 at most"},
		{"what goes at most once came twice", func(s *story) { s.once = false; s.repeat("careful", 4, 4.5); s.trouble(3, 9) }, "careful: slot 2026-11-25 12:00:04 +0000 UTC came 2 times"},
		{"the broker handed a message out again", func(s *story) { s.repeat("owed", 4, 4.5).again = true }, ""},
		{"a slot came again with another id", func(s *story) { s.once = false; s.repeat("owed", 4, 4.5).id = "another"; s.trouble(3, 9) }, "came with the ids"},
		{"a slot came twice after the time that is judged", func(s *story) { s.repeat("owed", 11, 11.5) }, "came 2 times"},
		{"a slot came early", func(s *story) { s.arrivals[3].at = at(3.999) }, "came 1ms early"},
		{"a slot of no schedule", func(s *story) { s.arrivals[3].slot = at(4.5) }, "is no slot of it"},
		{"a slot before the start", func(s *story) { s.arrivals[3].slot = at(-3) }, "was before the start"},
		{"an entry that nobody made", func(s *story) { s.arrivals[3].entry = "ghost" }, `"ghost" is no entry`},
		{"an entry in the ledger that nobody made, by a known id", func(s *story) {
			s.entries[0].id = "an-id"
			s.ledger[3].entry, s.ledger[3].of, s.ledger[3].recovered = "", "an-id", true
		}, `"" is in the ledger and no entry: the id is an-id of owed, the slot 2026-11-25 12:00:04 +0000 UTC; sent by a-1 in term 2, recovered, id owed4, sent at 12:00:04.005; messages that came: 1 with the id owed4 at 12:00:04.010`},
		{"two nodes ended a slot", func(s *story) {
			other := s.ledger[3]
			other.node, other.term, other.state, other.reason, other.sent = "b-1", 3, "skipped", "edited", time.Time{}
			s.ledger = append(s.ledger, other)
			s.repeat("owed", 4, 4.5)
		}, "owed: slot 2026-11-25 12:00:04 +0000 UTC has 2 ends in the ledger, want 1; sent by a-1 in term 2, id owed4, sent at 12:00:04.005; skipped (edited) by b-1 in term 3, id owed4; messages that came: 2 with the id owed4 at 12:00:04.010, owed4 at 12:00:04.500"},
		{"the ledger has no row", func(s *story) { s.ledger = slices.Delete(s.ledger, 3, 4) }, "has 0 ends in the ledger"},
		{"the ledger has two rows", func(s *story) { s.ledger = append(s.ledger, s.ledger[3]) }, "has 2 ends in the ledger"},
		{"the ledger has another id", func(s *story) { s.ledger[3].id = "another" }, "has the id another in the ledger"},
		{"what came is not sent in the ledger", func(s *story) { s.ledger[3].state = "skipped" }, `came, and the ledger has it as "skipped"`},

		{"a slot of an edited entry is lost", func(s *story) { s.drop("edited", 3, "sent", "") }, "slot 2026-11-25 12:00:03 +0000 UTC of definition 0 is missing"},
		{"the last slot before an edit is not sent", func(s *story) { s.drop("edited", 5, "skipped", "edited") }, ""},
		{"the last slots before an edit are not sent", func(s *story) { s.drop("edited", 5, "", ""); s.drop("edited", 4, "", "") }, "although it was edited only at"},
		{"the last slots before an edit are not sent in trouble", func(s *story) { s.drop("edited", 5, "", ""); s.drop("edited", 4, "", ""); s.trouble(4, 6) }, ""},
		{"an edit never comes into effect", func(s *story) {
			for _, second := range []float64{6, 8, 10, 12} {
				s.drop("edited", second, "", "")
			}
		}, "nothing came of its last definition"},
		{"the last definition ends early", func(s *story) { s.drop("edited", 10, "", ""); s.drop("edited", 12, "", "") }, "of definition 1 is missing"},
		{"a definition goes on after it ended", func(s *story) {
			s.arrivals = append(s.arrivals, arrival{entry: "edited", slot: at(17), id: "x", at: at(17.1)})
		}, "came from definition 0, which ended at"},
		{"a slot of no definition", func(s *story) {
			s.arrivals = append(s.arrivals, arrival{entry: "edited", slot: at(7), id: "x", edit: 1, at: at(7.1)})
		}, "is none of definition 1"},
		{"a slot of two definitions", func(s *story) { s.repeat("edited", 4, 4.2).edit = 1 }, "came 2 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := told()
			tt.spoil(s)
			v := s.judge()
			text := v.examples(100)
			switch {
			case tt.want == "" && text != "":
				t.Errorf("judge finds\n%s\nwant nothing", text)
			case !strings.Contains(text, tt.want):
				t.Errorf("judge finds\n%s\nwant %s", text, tt.want)
			}
			if sum := v.missing + v.extra + v.early + v.untrue; (sum > 0) != (tt.want != "") {
				t.Errorf("judge counts %d faults, names %d", sum, len(v.wrong))
			}
		})
	}
}

func TestFaultsAreShownOfEachKind(t *testing.T) {
	v := &verdict{}
	for second := range 197 {
		v.fault(&v.untrue, "slot %d has two ends", second)
	}
	v.fault(&v.missing, "slot %d is missing", 3)
	v.also("audit", "the audit is not clean")
	want := "slot 0 has two ends\nslot 1 has two ends\n  and 195 more like these\nslot 3 is missing\nthe audit is not clean"
	if got := v.examples(2); got != want {
		t.Errorf("examples(2) is\n%s\nwant\n%s", got, want)
	}
}
