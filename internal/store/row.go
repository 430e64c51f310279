package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A row is a row of the catalog as it was read, with what onebeat remembers of it.
type row struct {
	id, name, task, spec  string
	enabled               bool
	args, kwargs          string
	createdAt             time.Time
	options, zone, rules  string
	policy                string
	graceSeconds          float64
	maxCount              int64
	maxAgeSeconds         float64
	lastRunAt             time.Time
	totalRunCount         int64
	known                 bool // what follows was found in onebeat_entries
	seenSpec              string
	afterAt               time.Time
	lastSlot              time.Time
	sideCount             int64
	pausedAt, pausedUntil time.Time
	pauseReason, pausedBy string
	readAt                time.Time // the database's clock

	calendars *calendars // those of the database when it was read

	oneOff      bool   // one slot is sent, whatever the spec gives after it
	ran         bool   // it is enabled and a one-off whose count says that it has run, which is to be disabled
	outside     bool   // it is a source's, whose run state is in onebeat_entries
	description string // if outside
	problem     string // what was found to be wrong while the row was read, and what to do

	key    schedule.Key  // of its id, zero if that has none
	looked bool          // the key was looked for
	spot   schedule.Spot // where what is known of it was, once that was looked for

	texts            digest // of what it sends, once it was taken
	print            uint64 // its fingerprint, once it was taken
	defined, specSum uint64 // its definition and digest of the spec, once they were asked for

	into               []any // where its columns are scanned to, if it is scanned again and again
	again              bool
	wasCreated, wasRun lenient // as they were read

	common *common // its spec, if that is one that means the same in all rows

	mayLeave  bool            // its definition may be left in the catalog, if it is good
	spare     *spare          // where its entry is made if that is left; nil: where no other is
	was       *schedule.Entry // what was made of it when it was read before, and said the same
	unwritten bool            // what was seen of it for the first time is not on record

	bare    bool   // it was read without what is remembered of it (apart.go)
	seenSum uint64 // then seenSpec as a number
}

// scan reads the columns of the statement entries, in order, and leaves those
// after them.
func (r *row) scan(from scanner, rest int) error {
	into := r.into
	if into == nil {
		into = append(r.columns(), slices.Repeat([]any{ignored{}}, rest)...)
	}
	if r.again {
		r.into = into
	}
	if err := from.Scan(into...); err != nil {
		return err
	}
	r.createdAt, r.lastRunAt = r.wasCreated.at, r.wasRun.at
	return nil
}

// scanAlone reads the columns of the statement entries_alone, in order.
func (r *row) scanAlone(from scanner) error {
	if r.into == nil {
		all := r.columns()
		r.into = append(all[:ofCatalog:ofCatalog], all[len(all)-1])
	}
	err := from.Scan(r.into...)
	r.createdAt, r.lastRunAt = r.wasCreated.at, r.wasRun.at
	return err
}

// ofCatalog is how many of the columns are the catalog's own. After those come what is remembered, and at last
// when they were read.
const ofCatalog = 17

// columns are where the columns go that scan reads.
func (r *row) columns() []any {
	return []any{
		identity{r},
		orEmpty{&r.name},
		often{orEmpty{&r.task}},
		kept{orEmpty{&r.spec}},
		truth{&r.enabled},
		orEmpty{&r.args},
		orEmpty{&r.kwargs},
		&r.wasCreated,
		often{orEmpty{&r.options}},
		often{orEmpty{&r.zone}},
		often{orEmpty{&r.rules}},
		often{orEmpty{&r.policy}},
		orZero[float64]{&r.graceSeconds},
		orZero[int64]{&r.maxCount},
		orZero[float64]{&r.maxAgeSeconds},
		&r.wasRun,
		orZero[int64]{&r.totalRunCount},
		&r.known,
		orEmpty{&r.seenSpec},
		instant{&r.afterAt},
		instant{&r.lastSlot},
		orZero[int64]{&r.sideCount},
		instant{&r.pausedAt},
		instant{&r.pausedUntil},
		orEmpty{&r.pauseReason},
		orEmpty{&r.pausedBy},
		instant{&r.readAt},
	}
}

// clear makes it ready for the next scan.
func (r *row) clear() { *r = row{into: r.into, again: true} }

// place is the key of its id, the zero Key if that has none. It is read once.
func (r *row) place() schedule.Key {
	if !r.looked {
		r.key, r.looked = schedule.ID(r.id).KeyOrNone(), true
	}
	return r.key
}

// An identity scans the id of a row.
type identity struct{ row *row }

// Scan implements sql.Scanner.
func (i identity) Scan(value any) error {
	i.row.looked = false
	return orEmpty{&i.row.id}.Scan(value)
}

func (i identity) set(id string) bool {
	i.row.id, i.row.looked = id, false
	return true
}

// setUUID is set for a UUID in 16 bytes, which mostly are the key.
func (i identity) setUUID(bytes []byte) bool {
	key, ok := schedule.KeyOfUUID(bytes)
	if i.set(string(schedule.UUID(bytes))); ok {
		i.row.key, i.row.looked = key, true
	}
	return true
}

// paused says whether the entry is paused at the instant the row was read.
func (r *row) paused() bool {
	return !r.pausedAt.IsZero() && (r.pausedUntil.IsZero() || r.readAt.Before(r.pausedUntil))
}

// anchor is where the grid of an interval begins that names no beginning: when
// the row was made, at a whole second, so that its slots are whole seconds too.
func (r *row) anchor() time.Time { return r.createdAt.Truncate(time.Second) }

// written are the rules around the spec as JSON, empty if there are none.
func (r *row) written() string {
	switch rules := strings.TrimSpace(r.rules); rules {
	case "{}", "null":
		return ""
	default:
		return rules
	}
}

// ruled is the spec with the rules around it.
func (r *row) ruled() string {
	if rules := r.written(); rules != "" {
		return "@rules " + rules + " " + r.spec
	}
	return r.spec
}

// specDigest tells specs apart: the text, its zone, and the row's anchor where
// the text has none of its own.
func (r *row) specDigest(zone string) uint64 {
	if r.specSum == 0 {
		r.specSum = r.digestOfSpec(zone)
	}
	return r.specSum
}

func (r *row) digestOfSpec(zone string) uint64 {
	if r.common != nil {
		return r.common.digest
	}
	spec := r.ruled()
	sum := empty.text(spec).text(zone)
	if strings.Contains(spec, "@every") && !strings.Contains(spec, " from ") {
		sum = sum.number(uint64(r.anchor().UnixMicro()))
	}
	for _, name := range r.ruling().Calendars {
		sum = sum.text(name).number(r.calendars.digest(name))
	}
	if r.oneOff { // which a change of the row arms again
		sum = sum.number(1).number(uint64(r.createdAt.UnixMicro()))
	}
	if r.problem != "" {
		sum = sum.text(r.problem)
	}
	return uint64(sum)
}

// definition is the digest of all that is sent and when.
func (r *row) definition(zone string) uint64 {
	if r.defined != 0 {
		return r.defined
	}
	if r.texts == 0 {
		r.texts = empty.text(r.task).text(r.args).text(r.kwargs).text(r.options)
	}
	return uint64(r.texts.number(r.specDigest(zone)).text(r.policy).
		number(math.Float64bits(r.graceSeconds)).number(uint64(r.maxCount)).number(math.Float64bits(r.maxAgeSeconds)))
}

// fingerprint tells apart all that a watcher is told of, so that it is told of
// each state once. Run state does not count.
func (r *row) fingerprint(zone string) uint64 {
	r.defined = r.definition(zone)
	sum := empty.text(r.name).number(r.defined)
	for _, is := range []bool{r.enabled, r.paused()} {
		if is {
			sum = sum.number(1)
		} else {
			sum = sum.number(0)
		}
	}
	return uint64(sum)
}

// entry makes the entry that the row defines, but for After. An error says what
// is wrong with the row and what to do, on one line, without arguments of tasks.
func (r *row) entry(options *Options) (*schedule.Entry, error) {
	if r.problem != "" {
		return nil, errors.New(r.problem)
	}
	if r.id == "" {
		return nil, errors.New("id is empty: give the row one that no other has")
	}
	if r.task == "" {
		return nil, errors.New("task_name is empty: write the Celery task's name there")
	}
	zone := r.zoneOr(options.Zone)
	spec, err := r.parse(zone)
	if err != nil {
		return nil, err
	}
	if then := schedule.LimitOf(spec, 0).Then; r.outside && then == schedule.ThenDelete {
		return nil, errors.New("then: there is no row to delete: with max_runs alone the entry sends nothing more")
	}
	e := r.blank()
	e.ID, e.Name, e.Task, e.Spec, e.Digest = schedule.ID(r.id), r.name, r.task, spec, r.definition(zone)
	e.Args, e.Kwargs, e.Options = r.args, r.kwargs, r.options
	switch {
	case !r.mayLeave:
		err := errors.Join(
			isJSON("args", r.args, '[', "a list such as [1, 2]"),
			isJSON("kwargs", r.kwargs, '{', `an object such as {"a": 1}`),
			isJSON("options", r.options, '{', `an object such as {"queue": "priority"}`),
		)
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return nil, errors.New(first)
		}
	case options.Sound(e):
		e.Payload = schedule.Left{}
	default:
		r.mayLeave, r.spare = false, nil
		return r.entry(options)
	}
	if e.Misfire, err = r.misfire(); err != nil {
		return nil, err
	}
	if e.Left() {
		return e, nil
	}
	return e, options.prepare(e)
}

// A spare is memory for an entry that nobody keeps.
type spare struct {
	entry schedule.Entry
	row   schedule.Row
}

// blank is an entry to be filled in.
func (r *row) blank() *schedule.Entry {
	if r.spare == nil {
		return &schedule.Entry{Row: &schedule.Row{}}
	}
	r.spare.row = schedule.Row{}
	r.spare.entry = schedule.Entry{Row: &r.spare.row}
	return &r.spare.entry
}

// prepare makes the entry ready to be sent. Of a million entries few have a task of their own.
func (o *Options) prepare(e *schedule.Entry) error {
	e.Task = unique.Make(e.Task).Value()
	if o.Prepare == nil {
		return nil
	}
	return o.Prepare(e)
}

func (r *row) parse(zone string) (schedule.Spec, error) {
	if r.common != nil {
		return r.common.spec, nil
	}
	return schedule.Reading{Zone: zone, Anchor: r.anchor(), Key: r.id, Calendar: r.calendars.find}.Parse(r.ruled())
}

// made is the entry that the row defines, made anew only if it was not made before.
func (r *row) made(options *Options) (*schedule.Entry, error) {
	if r.was == nil || r.oneOff { // whose one slot depends on what is remembered of it
		return r.entry(options)
	}
	return r.was.Anew(), nil
}

// first leaves an entry that is to run once its first slot after the instant, or
// after its pause.
func (r *row) first(entry *schedule.Entry, after time.Time) {
	if !r.oneOff || once(entry.Spec) {
		return
	}
	if !r.pausedAt.IsZero() && !r.paused() {
		after = schedule.Later(after, r.pausedUntil)
	}
	if slot := entry.Spec.Next(after); !slot.IsZero() {
		entry.Spec = schedule.NewAt(slot)
	}
}

func (r *row) zoneOr(zone string) string {
	if r.zone != "" {
		return r.zone
	}
	return zone
}

// isJSON says what is wrong with a column that should hold JSON of one kind. The
// empty text is none, and so is null.
func isJSON(column, text string, first byte, want string) error {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "", trimmed == "null": // which Celery takes for none too
		return nil
	case !json.Valid([]byte(trimmed)) && !json.Valid(withoutWords(trimmed)):
		return fmt.Errorf("%s is not JSON: write %s", column, want)
	case trimmed[0] == '"':
		return fmt.Errorf("%s is a text in JSON, as of what was encoded twice: write %s", column, want)
	case trimmed[0] != first:
		return fmt.Errorf("%s is JSON of another kind: write %s", column, want)
	}
	return nil
}

// pythonWords are the numbers that only Python's JSON has.
var pythonWords = []string{"NaN", "Infinity", "-Infinity"}

// withoutWords is JSON as Python writes and reads it with a null for each such number, beside which no digit can stand.
func withoutWords(text string) []byte {
	plain := make([]byte, 0, len(text))
	for i, within := 0, false; i < len(text); i++ { // within a string
		switch c := text[i]; {
		case within && c == '\\' && i+1 < len(text):
			plain = append(plain, c)
			i++
		case c == '"':
			within = !within
		case !within:
			at := slices.IndexFunc(pythonWords, func(word string) bool { return strings.HasPrefix(text[i:], word) })
			if at >= 0 {
				plain, i = append(plain, "null"...), i+len(pythonWords[at])-1
				continue
			}
		}
		plain = append(plain, text[i])
	}
	return plain
}

// maxSeconds is the longest time.Duration, in whole seconds.
const maxSeconds = 9223372036

func (r *row) misfire() (schedule.Misfire, error) {
	m := schedule.Misfire{Count: int(r.maxCount)}
	if r.policy == string(schedule.Once) && r.graceSeconds == 0 && r.maxAgeSeconds == 0 && r.maxCount == 0 {
		m.Policy = schedule.Once // as of most rows
		return m, nil
	}
	policies := [...]schedule.Policy{"", schedule.Once, schedule.Skip, schedule.All}
	i := slices.Index(policies[:], schedule.Policy(r.policy))
	if i < 0 {
		return m, fmt.Errorf("misfire_policy is %q: write once, skip or all", r.policy)
	}
	m.Policy = policies[i] // not the row's own text, which would hold all of the row
	for _, length := range [...]struct {
		column  string
		seconds float64
	}{{"misfire_grace_seconds", r.graceSeconds}, {"misfire_max_age_seconds", r.maxAgeSeconds}} {
		if !(length.seconds >= 0 && length.seconds <= maxSeconds) {
			return m, fmt.Errorf("%s is out of range: write seconds, 0 or more", length.column)
		}
	}
	if r.maxCount < 0 {
		return m, errors.New("misfire_max_count is below 0: write how many may be sent, or nothing")
	}
	m.Grace = time.Duration(r.graceSeconds * float64(time.Second))
	m.Age = time.Duration(r.maxAgeSeconds * float64(time.Second))
	return m, nil
}

// A lenient scans an instant of the user's table, where one that can't be read
// is none: it must not spoil the rows read with it.
type lenient struct {
	at     time.Time
	zoned  bool   // it was text that names its offset
	unread string // it was this, which can't be read
}

// Scan implements sql.Scanner.
func (l *lenient) Scan(value any) error {
	*l = lenient{}
	text, isText := value.(string)
	if isText {
		_, clock, _ := strings.Cut(strings.Replace(text, "T", " ", 1), " ")
		l.zoned = strings.ContainsAny(clock, "Z+-")
	}
	if err := (instant{&l.at}).Scan(value); err != nil {
		l.at = time.Time{}
		if !strings.HasPrefix(text, "0000-00-00") { // which is none to MySQL's users
			l.unread = cmp.Or(text, "of another type")
		}
	}
	return nil
}

// needed says what is wrong with a column that must not be passed over if it can't be read.
// What stands for no bound at all, as PostgreSQL has it, is none.
func (l *lenient) needed(column, unbounded string) error {
	if l.unread == "" || l.unread == unbounded {
		return nil
	}
	return fmt.Errorf("%s is %.40q, which is no instant: write it as 2006-01-02 15:04:05", column, l.unread)
}

// An orEmpty scans text that may be null, or of another kind where the database
// holds columns to no type.
type orEmpty struct{ into *string }

// Scan implements sql.Scanner.
func (o orEmpty) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*o.into = ""
	case string:
		*o.into = v
	case []byte:
		*o.into = string(v)
	default:
		*o.into = fmt.Sprint(v)
	}
	return nil
}

// An orZero scans a number that may be null, which is 0.
type orZero[N int64 | float64] struct{ into *N }

// Scan implements sql.Scanner.
func (o orZero[N]) Scan(value any) error {
	var n sql.Null[N]
	err := n.Scan(value)
	*o.into = n.V
	return err
}

// A truth scans a boolean as any program may have written it.
type truth struct{ into *bool }

// Scan implements sql.Scanner.
func (t truth) Scan(value any) error {
	switch v := value.(type) {
	case bool:
		*t.into = v
	case int64:
		*t.into = v != 0
	default:
		text := strings.ToLower(fmt.Sprint(v))
		*t.into = text == "true" || text == "t" || text == "1"
	}
	return nil
}

// ignored scans a column that nobody needs.
type ignored struct{}

// Scan implements sql.Scanner.
func (ignored) Scan(any) error { return nil }
