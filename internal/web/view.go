package web

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A view is what the page shows, in words.
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

	Reached   bool
	Rows      string // how many there are
	Aside     []asideView
	MoreAside string

	Coming     []comingView
	ComingNote string

	Asked  Asked
	States []stateView // to choose from
	Runs   []runView
	Note   string // on them
	Said   string // by the program on them, in its own language
}

type asideView struct{ Name, Problem string }

type comingView struct {
	In              string
	Slot            moment
	Name, Task, Why string
}

type stateView struct {
	Value, Name string
	Chosen      bool
}

type runView struct {
	Slot        moment
	Name, Task  string
	Value       string // the state
	State       string
	Late        string
	Queue, Node string
	Reason      string
	Why         []string
	Explain     string // the command that tells more
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

func viewOf(known made, asked Asked, text *texts) view {
	v := view{
		T: text, OK: known.health.OK, Title: text.Ill,
		Node: legible(known.health.Node), Version: legible(known.page.Version),
		At: momentOf(known.page.At),
	}
	if asked == (Asked{}) {
		v.Again = fmt.Sprintf(text.Again, refreshSeconds)
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
	if v.Reached = known.page.Reached; v.Reached {
		v.catalog(&known.page)
		v.coming(&known.page)
		v.ledger(&known.page.Ledger, asked)
	}
	return v
}

// catalog shows what there is to know of rows.
func (v *view) catalog(page *Page) {
	switch aside := len(page.Aside) + page.MoreAside; {
	case !page.Known:
		v.Rows = v.T.Loading
	case aside == 0:
		v.Rows = fmt.Sprintf(v.T.NoneAside, page.Rows)
	default:
		v.Rows = fmt.Sprintf(v.T.SomeAside, aside, page.Rows)
	}
	for _, row := range page.Aside {
		v.Aside = append(v.Aside, asideView{legible(cmp.Or(row.Name, row.ID)), legible(row.Problem)})
	}
	if page.MoreAside > 0 {
		v.MoreAside = fmt.Sprintf(v.T.MoreAside, page.MoreAside)
	}
}

// coming shows the slots that come next.
func (v *view) coming(page *Page) {
	for _, slot := range page.Coming {
		one := comingView{In: v.T.length(slot.Slot.Sub(page.At)), Slot: momentOf(slot.Slot), Name: legible(slot.Name), Task: legible(slot.Task)}
		if slot.Skipped != "" {
			one.Why = fmt.Sprintf(v.T.WillBeSkipped, legible(slot.Skipped))
		}
		v.Coming = append(v.Coming, one)
	}
	led, elsewhere, unknown := 0, false, false
	for _, s := range page.Shards {
		if s.Term != 0 {
			led++
		}
		elsewhere, unknown = elsewhere || s.Node != "", unknown || s.Unknown
	}
	switch {
	case led == 0 && elsewhere:
		v.ComingNote = v.T.ComesElsewhere
	case led == 0 && unknown:
		v.ComingNote = v.T.Unknown
	case led == 0:
		v.ComingNote = v.T.None
	case led < len(page.Shards):
		v.ComingNote = v.T.ComesOf
	case len(page.Coming) == 0 && page.Known:
		v.ComingNote = v.T.NoneComes
	}
}

// ledger shows runs, and what to know of them.
func (v *view) ledger(ledger *Ledger, asked Asked) {
	v.Asked = Asked{legible(asked.Entry), asked.State}
	v.States = []stateView{{"", v.T.AnyState, asked.State == ""}}
	for _, state := range States {
		v.States = append(v.States, stateView{state, v.T.Names[state], asked.State == state})
	}
	for i := range ledger.Runs {
		v.Runs = append(v.Runs, v.T.run(&ledger.Runs[i]))
	}
	v.Said = legible(ledger.Problem)
	var notes []string
	switch list := "onebeat runs list"; {
	case ledger.Problem != "":
	case ledger.Unread:
		notes = append(notes, v.T.Unread)
	case !ledger.All && asked.State != "":
		notes = append(notes, fmt.Sprintf(v.T.Older, list+" --state "+asked.State))
	case !ledger.All && (len(ledger.Runs) == 0 || ledger.Exceptions):
		notes = append(notes, fmt.Sprintf(v.T.Older, list))
	case len(ledger.Runs) == 0:
		notes = append(notes, v.T.NoRuns)
	}
	if ledger.Exceptions && ledger.Problem == "" && !ledger.Unread {
		notes = append(notes, v.T.Exceptions)
	}
	v.Note = strings.Join(notes, " ")
}

// run shows a run.
func (t *texts) run(r *Run) runView {
	one := runView{
		Slot: momentOf(r.Slot), Name: legible(r.Name), Task: legible(r.Task), Value: legible(r.State), State: cmp.Or(t.Names[r.State], legible(r.State)),
		Queue: legible(r.Queue), Node: legible(r.Node), Reason: legible(r.Reason),
	}
	if !r.SentAt.IsZero() {
		one.Late = r.SentAt.Sub(r.Slot).Round(100 * time.Microsecond).String()
	}
	if r.Count > 1 {
		one.Why = append(one.Why, fmt.Sprintf(t.Slots, r.Count, momentOf(r.Through).Zone))
	}
	if r.Asked {
		one.Why = append(one.Why, t.Asked)
	}
	if r.Recovered {
		one.Why = append(one.Why, t.Recovered)
	}
	if r.State != "sent" {
		one.Explain = explain(r)
	}
	return one
}

// explain is the command that says what became of a run; empty where neither name nor id can be written in one.
func explain(r *Run) string {
	name := r.Name
	if !plain(name) {
		name = r.ID
	}
	if !plain(name) {
		return ""
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+-") != "" {
		name = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	if r.Asked { // it is no slot: the command tells of the last that was asked for
		return "onebeat explain " + name
	}
	return "onebeat explain " + name + " --at " + r.Slot.Format(time.RFC3339Nano)
}

// plain says whether a shell takes the text as it is shown, in quotes.
func plain(text string) bool {
	return text != "" && text[0] != '-' && len(text) < textMost && !strings.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r)
	})
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
	case s.Unknown:
		return t.Unknown
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
		case s.Unknown:
			one.Leader = t.NotKnown
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
