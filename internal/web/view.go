package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A view is what the template shows, in words.
type view struct {
	T       *texts
	OK      bool
	Title   string
	Node    string
	Version string
	At      moment
	Again   string
	Leads   string
	Shards  []shardView // where there are several
	Checks  []checkView
}

type shardView struct {
	Number int
	Leader string
	Term   string
}

type checkView struct {
	OK     bool
	Name   string
	State  string
	Detail string
}

// A moment is an instant, for machines and as it is shown.
type moment struct{ Machine, Zone, UTC string }

func viewOf(known made, text *texts) view {
	v := view{
		T: text, OK: known.health.OK, Title: text.Ill,
		Node: legible(known.health.Node), Version: legible(known.page.Version),
		At: momentOf(known.page.At), Again: fmt.Sprintf(text.Again, refreshSeconds),
	}
	if v.OK {
		v.Title = text.Well
	}
	switch shards := known.page.Shards; len(shards) {
	case 0:
	case 1:
		v.Leads = text.leads(shards[0])
	default:
		v.Shards = text.shards(shards)
	}
	for _, check := range known.health.Checks {
		one := checkView{OK: check.OK, Name: text.Names[check.Name], State: text.Failed, Detail: legible(check.Detail)}
		if one.Name == "" {
			one.Name = legible(check.Name)
		}
		if check.OK {
			one.State = text.Passed
		}
		v.Checks = append(v.Checks, one)
	}
	slices.SortStableFunc(v.Checks, func(a, b checkView) int { // what failed is read first
		return boolToInt(a.OK) - boolToInt(b.OK)
	})
	return v
}

func boolToInt(is bool) int {
	if is {
		return 1
	}
	return 0
}

// leads says who leads the one shard.
func (t *texts) leads(s Shard) string {
	switch {
	case s.Term != 0:
		return fmt.Sprintf(t.Leads, s.Term)
	case s.Node == "":
		return t.None
	}
	return fmt.Sprintf(t.Waits, legible(s.Node))
}

func (t *texts) shards(shards []Shard) (views []shardView) {
	for number, s := range shards {
		one := shardView{Number: number, Leader: legible(s.Node)}
		switch {
		case s.Term != 0:
			one.Leader, one.Term = t.Here, strconv.FormatInt(s.Term, 10)
		case s.Node == "":
			one.Leader = t.Nobody
		}
		views = append(views, one)
	}
	return views
}

// momentOf is an instant as its zone's clocks show it, and, where that is another time, by UTC.
func momentOf(at time.Time) moment {
	if at.IsZero() {
		return moment{}
	}
	utc := at.UTC().Format("2006-01-02 15:04:05Z")
	m := moment{Machine: at.UTC().Format(time.RFC3339), Zone: utc}
	if at.Location().String() != "UTC" {
		m.Zone, m.UTC = at.Format("2006-01-02 15:04:05 -0700"), utc
	}
	return m
}

// textMost is how many characters of a person's text are shown.
const textMost = 500

// legible is a text of one line, with a replacement character for what is none or would turn the direction of what comes
// after it: names and reasons are anybody's texts.
func legible(text string) string {
	shown := 0
	return strings.Map(func(r rune) rune {
		shown++
		switch {
		case shown == textMost:
			return '…'
		case shown > textMost:
			return -1
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' && r != '\u061c':
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
