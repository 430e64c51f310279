package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Ruled is a Spec with rules around it: more specs, exclusions, days off, bounds
// and shifts. Its slots are a set: of each slot that one of its specs gives, what
// the rules make of it. Two that fall together are one.
//
// The order of the rules is that of the fields below: a slot that Except gives or
// names is none; one on a day off is dropped or moved; then it is put off by Offset,
// Splay and Jitter; and what lies before Start or after End is none.
type Ruled struct {
	text   string
	words  string // what the rules say, in words
	specs  []Spec
	except []Spec
	days   daysOff
	named  *rules // where days are off by calendars: what was written
	moves  int    // days to go at a time to find a working day; 0 drops the slot
	zone   *zone
	offset time.Duration // Offset and Splay
	jitter time.Duration
	key    string
	limit  Limit
	group  string
	start  time.Time // zero: none
	end    time.Time

	// A slot is placed between these from where its spec gave it.
	earliest, latest time.Duration
}

// rules are the rules as they are written: a JSON object after @rules.
type rules struct {
	Also      []string `json:"also,omitempty"`      // specs whose slots count too
	Except    []string `json:"except,omitempty"`    // specs whose slots are none; dates and ranges of dates that are days off
	Weekend   string   `json:"weekend,omitempty"`   // days of the week that are off: "sat,sun"
	Calendars []string `json:"calendars,omitempty"` // calendars whose days are off
	Shift     string   `json:"shift,omitempty"`     // of slots on days off: skip (unless set), next or previous working day
	Offset    string   `json:"offset,omitempty"`    // later by so much, or with a minus earlier
	Splay     string   `json:"splay,omitempty"`     // later by up to so much, always the same for an entry
	Jitter    string   `json:"jitter,omitempty"`    // later by up to so much, other for each slot
	Start     string   `json:"start,omitempty"`     // no slot before
	End       string   `json:"end,omitempty"`       // no slot after
	Runs      int64    `json:"max_runs,omitempty"`  // so many are sent in all
	Then      string   `json:"then,omitempty"`      // of the row after the last slot: keep, disable (with max_runs, unless set) or delete
	Group     string   `json:"group,omitempty"`     // by which windows may concern it
	Key       string   `json:"key,omitempty"`       // what splay and jitter go by, the entry's id unless set
}

const (
	// mostCandidates bounds how many slots in a row rules may drop, those of days off in a row counting as one: after
	// so many there is no next slot. It is more than a year of a spec of each minute, for what specs
	// except may come back with the year.
	mostCandidates = 600_000

	// Of specs that give few slots, of which each may cost a lot, fewCandidates are enough once they are of
	// mostSilence: all that crontabs tell apart comes back within 40 years, such as a Monday, 29 February, about 2100.
	fewCandidates = 100_000
	mostSilence   = 50 * 366 * secondsPerDay

	// mostJitter bounds what Next has to look back on.
	mostJitter = 24 * time.Hour

	// mostDaysOff bounds how many days in a row may be off where slots are moved.
	mostDaysOff = 366
)

// parseRuled reads what follows "@rules": a JSON object and a spec.
func (r Reading) parseRuled(text string) (Spec, error) {
	if r.ruled {
		return nil, &SpecError{Text: text, Problem: "rules stand once, before the spec: join these with those around them"}
	}
	r.ruled = true
	var written rules
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&written); err != nil {
		return nil, &SpecError{Text: text, Problem: "rules can't be read: " + jsonFault(err)}
	}
	used := int(decoder.InputOffset())
	rest := strings.TrimSpace(text[used:])
	if rest == "" {
		return nil, &SpecError{Text: text, Offset: used, Problem: `a spec is missing after the rules: write it as in @rules {"weekend": "sat,sun"} 0 9 * * *`}
	}
	base, err := r.Parse(rest)
	if err != nil {
		return nil, within(err, text, strings.LastIndex(text, rest))
	}
	spec, err := r.rule(written, base)
	if err != nil {
		return nil, &SpecError{Text: text, Problem: err.Error()}
	}
	return spec, nil
}

// jsonFault says in words what is wrong with rules.
func jsonFault(err error) string {
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return name + " is not known: write also, except, weekend, calendars, shift, offset, splay, jitter, start, end, max_runs, then or group"
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return fmt.Sprintf(`they are a JSON %s: write an object such as {"except": ["2026-12-25"]}`, wrong.Value)
		}
		return fmt.Sprintf("%s is a JSON %s: write a text, for also, except and calendars a list of texts, for max_runs a number", wrong.Field, wrong.Value)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return `they end too early: write a JSON object such as {"except": ["2026-12-25"]}`
	}
	return `they are not JSON: write an object such as {"except": ["2026-12-25"]}`
}

// rule makes the spec of a base and its rules.
func (r Reading) rule(written rules, base Spec) (*Ruled, error) {
	z, err := loadZone(r.Zone)
	if err != nil {
		return nil, err
	}
	ruled := &Ruled{specs: []Spec{base}, zone: z, key: r.Key, group: written.Group}
	if written.Key != "" {
		ruled.key = written.Key
	}
	if err := errors.Join(
		ruled.readSpecs(r, &written),
		ruled.readCalendars(r, &written),
		ruled.readDays(&written),
		ruled.readLengths(&written),
		ruled.readBounds(&written),
		ruled.readLimit(&written),
	); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(first)
	}
	if ruled.text, err = written.text(z, base); err != nil {
		return nil, err
	}
	if len(written.Calendars) > 0 {
		ruled.named = &written
	}
	ruled.words = written.words(ruled.specs, z)
	first := ruled.Next(time.Unix(firstSecond, 0))
	if first.IsZero() {
		return nil, errors.New("these rules leave no slot")
	}
	return ruled, ruled.dense(first)
}

// text is the rules before their spec.
func (written *rules) text(z *zone, base Spec) (string, error) {
	object, err := json.Marshal(written)
	if err != nil {
		return "", err
	}
	text := "@rules " + string(object) + " " + base.String()
	if z.name != "UTC" {
		text = "CRON_TZ=" + z.name + " " + text
	}
	return text, nil
}

// dense is the error for specs with so many slots that Next would look back on too
// many of them for what may have been moved or put off.
func (ruled *Ruled) dense(first time.Time) error {
	const most = 10_000
	back := ruled.latest - ruled.earliest
	for _, spec := range ruled.specs {
		for _, from := range []time.Time{first, time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)} {
			if n, _ := Count(spec, from, from.Add(back), most+1); n > most {
				return fmt.Errorf("more than %d slots lie within %s, which rules may move them by: use a shorter jitter, no shift, or fewer slots", most, formatPeriod(back))
			}
		}
	}
	return nil
}

// readSpecs reads Also and what of Except is no date.
func (ruled *Ruled) readSpecs(r Reading, written *rules) error {
	for i, text := range written.Also {
		spec, err := r.Parse(text)
		if err != nil {
			return fmt.Errorf("also: %w", err)
		}
		ruled.specs = append(ruled.specs, spec)
		written.Also[i] = spec.String()
	}
	for i, text := range written.Except {
		if days, ok, err := parseDates(text); err != nil {
			return fmt.Errorf("except: %w", err)
		} else if ok {
			ruled.days.ranges = append(ruled.days.ranges, days)
			continue
		}
		spec, err := r.Parse(text)
		if err != nil {
			return fmt.Errorf("except: %w", err)
		}
		ruled.except = append(ruled.except, spec)
		written.Except[i] = spec.String()
	}
	return nil
}

// readCalendars finds the calendars whose days are off.
func (ruled *Ruled) readCalendars(r Reading, written *rules) error {
	if len(written.Calendars) > 0 && r.Calendar == nil {
		return errors.New("calendars: they are kept in the database, and none is asked here")
	}
	for _, name := range written.Calendars {
		calendar, err := r.Calendar(name)
		if err != nil {
			return fmt.Errorf("calendars: %w", err)
		}
		if !slices.Contains(ruled.days.calendars, calendar) {
			ruled.days.calendars = append(ruled.days.calendars, calendar)
		}
	}
	return nil
}

// readDays reads the days off and what becomes of slots on them.
func (ruled *Ruled) readDays(written *rules) error {
	for name := range strings.SplitSeq(written.Weekend, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
			continue
		}
		day := slices.Index(weekdayNames, name)
		if day < 0 {
			return fmt.Errorf("weekend: %q is no day: write sun, mon, tue, wed, thu, fri or sat, parted by commas", name)
		}
		ruled.days.week |= 1 << day
	}
	ruled.days.sort()
	switch written.Shift {
	case "", "skip":
	case "next":
		ruled.moves = 1
	case "previous":
		ruled.moves = -1
	default:
		return fmt.Errorf("shift: %q is not known: write skip, next or previous", written.Shift)
	}
	if ruled.moves == 0 {
		return nil
	}
	run := ruled.days.longest()
	if run > mostDaysOff {
		return fmt.Errorf("more than %d days off in a row: a slot can't be moved past them", mostDaysOff)
	}
	reach := time.Duration(run+1) * 24 * time.Hour // and a change of clocks
	ruled.earliest, ruled.latest = -reach, reach
	return nil
}

var weekdayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// readLengths reads Offset, Splay and Jitter.
func (ruled *Ruled) readLengths(written *rules) error {
	offset, err := parseOffset(written.Offset)
	if err != nil {
		return fmt.Errorf("offset: %w", err)
	}
	ruled.offset = offset
	for _, length := range []struct{ name, text string }{{"splay", written.Splay}, {"jitter", written.Jitter}} {
		if length.text == "" {
			continue
		}
		most, err := parsePeriod(length.text)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", length.name, err)
		case most > mostJitter:
			return fmt.Errorf("%s: %s is too long: write 24h or less", length.name, length.text)
		case ruled.key == "":
			return fmt.Errorf("%s goes by the entry's id, and there is none here: give one, as `onebeat next --id` does", length.name)
		}
		if length.name == "jitter" {
			ruled.jitter = most
		} else {
			ruled.offset += part(most, empty64.text(ruled.key))
		}
		written.Key = ruled.key
	}
	ruled.earliest += ruled.offset
	ruled.latest += ruled.offset + ruled.jitter
	return nil
}

func parseOffset(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	if text == "" {
		return 0, nil
	}
	length, err := parsePeriod(rest)
	if err == nil && (length > 366*24*time.Hour || length%time.Microsecond != 0) {
		err = fmt.Errorf("%q is out of range: write a year or less, in whole microseconds", text)
	}
	if negative {
		length = -length
	}
	return length, err
}

func (ruled *Ruled) readBounds(written *rules) error {
	for _, bound := range []struct {
		name, text string
		into       *time.Time
	}{{"start", written.Start, &ruled.start}, {"end", written.End, &ruled.end}} {
		if bound.text == "" {
			continue
		}
		at, err := parseInstant(bound.text, ruled.zone)
		if err != nil {
			return fmt.Errorf("%s: %w", bound.name, err)
		}
		*bound.into = at
	}
	if !ruled.end.IsZero() && ruled.end.Before(ruled.start) {
		return errors.New("end is before start")
	}
	return nil
}

func (ruled *Ruled) readLimit(written *rules) error {
	if written.Runs < 0 {
		return errors.New("max_runs is below 0: write how many may be sent in all")
	}
	ruled.limit.Runs = written.Runs
	switch written.Then {
	case "":
		if written.Runs > 0 {
			ruled.limit.Then = ThenDisable
		}
	case "keep":
	case "disable":
		ruled.limit.Then = ThenDisable
	case "delete":
		ruled.limit.Then = ThenDelete
	default:
		return fmt.Errorf("then: %q is not known: write keep, disable or delete", written.Then)
	}
	return nil
}

// LimitOf returns where an entry of the spec ends of itself, of which so many runs were sent.
func LimitOf(spec Spec, sent int64) Limit {
	ruled, ok := spec.(*Ruled)
	if !ok || ruled.limit == (Limit{}) {
		return Limit{}
	}
	limit := ruled.limit
	limit.Sent = sent
	return limit
}

// Single reports whether the spec is of one time: an At, perhaps with rules around it.
func Single(spec Spec) bool {
	if ruled, ok := spec.(*Ruled); ok && len(ruled.specs) == 1 {
		spec = ruled.specs[0]
	}
	_, ok := spec.(At)
	return ok
}

// Next implements Spec.
func (ruled *Ruled) Next(t time.Time) time.Time { return ruled.nextBy(t, time.Unix(lastSecond+1, 0)) }

// nextBy returns the first slot after t if that is not after through, and else any time that is, or the
// zero Time: it does not look at what cannot be a slot before.
func (ruled *Ruled) nextBy(t, through time.Time) time.Time {
	t = t.UTC()
	nominal := t.Add(-ruled.latest)
	if first := ruled.start.Add(-ruled.latest - time.Microsecond); !ruled.start.IsZero() && first.After(nominal) {
		nominal = first
	}
	if nominal.Unix() < firstSecond { // the zero Time is no slot
		nominal = time.Unix(firstSecond, 0).UTC()
	}
	var best time.Time
	var silent int64 // since then: a Unix second
	for i := range mostCandidates {
		if nominal = ruled.given(nominal); nominal.IsZero() {
			break
		}
		switch {
		case i == 0:
			silent = nominal.Unix()
		case i > fewCandidates && nominal.Unix()-silent > mostSilence:
			return best
		}
		soonest := nominal.Add(ruled.earliest)
		if soonest.After(through) || !best.IsZero() && !soonest.Before(best) || !ruled.end.IsZero() && soonest.After(ruled.end) {
			break
		}
		if ruled.moves == 0 {
			if through := ruled.offThrough(nominal); !through.IsZero() {
				nominal = through
				continue
			}
		}
		slot, ok := ruled.place(nominal)
		if ok && slot.After(t) && (best.IsZero() || slot.Before(best)) {
			best = slot
		}
	}
	return best
}

// words says in words what the rules, whose days are those of a zone, make of the specs.
func (written *rules) words(specs []Spec, of *zone) string {
	runs := ""
	if written.Runs > 0 {
		runs = Counted(written.Runs, "run")
	}
	then := map[string]string{"disable": "disabled", "delete": "deleted"}[written.Then]
	text := describeBeside(specs[0], of)
	for _, spec := range specs[1:] {
		text += "; also " + describeBeside(spec, of)
	}
	for _, rule := range []struct{ before, value, after string }{
		{"; except ", strings.Join(written.Except, ", "), ""},
		{"; not on ", written.Weekend, ""},
		{"; not on the days of ", strings.Join(written.Calendars, ", "), ""},
		{"; from days off to the ", strings.TrimSuffix(written.Shift, "skip"), " working day"},
		{"; later by ", written.Offset, ""},
		{"; spread over ", written.Splay, ""},
		{"; at random within ", written.Jitter, ""},
		{"; from ", written.Start, " on"},
		{"; until ", written.End, ""},
		{"; at most ", runs, ""},
		{"; then ", then, ""},
	} {
		if rule.value != "" {
			text += rule.before + rule.value + rule.after
		}
	}
	return text
}

// describeBeside is Describe, with the zone of the spec where that is another.
func describeBeside(spec Spec, other *zone) string {
	zoned, ok := spec.(interface{ Location() *time.Location })
	if !ok || zoned.Location().String() == other.name {
		return Describe(spec)
	}
	return Describe(spec) + " in " + zoned.Location().String()
}

// given returns the first slot of the specs after t.
func (ruled *Ruled) given(t time.Time) time.Time {
	var first time.Time
	for _, spec := range ruled.specs {
		if next := spec.Next(t); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}

// place returns what the rules make of a slot.
func (ruled *Ruled) place(nominal time.Time) (slot time.Time, ok bool) {
	for _, except := range ruled.except {
		if Gives(except, nominal) {
			return time.Time{}, false
		}
	}
	slot, ok = ruled.working(nominal)
	if !ok {
		return time.Time{}, false
	}
	slot = slot.Add(ruled.offset)
	if ruled.jitter > 0 {
		slot = slot.Add(part(ruled.jitter, empty64.text(ruled.key).number(uint64(nominal.UnixMicro()))))
	}
	if slot.Before(ruled.start) || !ruled.end.IsZero() && slot.After(ruled.end) {
		return time.Time{}, false
	}
	slot = bounded(slot)
	return slot, !slot.IsZero()
}

// offThrough returns an instant up to which, from that of the slot on, all is of days off, if its day
// is; else the zero Time.
func (ruled *Ruled) offThrough(slot time.Time) time.Time {
	if ruled.days.none() {
		return time.Time{}
	}
	span, _ := ruled.zone.find(slot.Unix())
	day := floorDays(slot.Unix() + span.offset)
	if !ruled.days.off(day) {
		return time.Time{}
	}
	end := (day+1)*secondsPerDay - span.offset
	if end > span.end {
		end = span.end // from where on it may be the day before again
	} else if last := ruled.days.through(day); last > day {
		end = max(end, ruled.zone.instant((last+1)*secondsPerDay))
	}
	return time.Unix(end, 0).UTC().Add(-time.Microsecond)
}

// working returns the slot, moved to a working day at the same time of the clocks.
func (ruled *Ruled) working(slot time.Time) (time.Time, bool) {
	if ruled.days.none() || ruled.moves == 0 { // then it is on none: Next
		return slot, true
	}
	second := slot.Unix()
	span, _ := ruled.zone.find(second)
	local := second + span.offset
	day := floorDays(local)
	if !ruled.days.off(day) {
		return slot, true
	}
	for ruled.days.off(day) { // not for long: readDays
		day += int64(ruled.moves)
		local += int64(ruled.moves) * secondsPerDay
	}
	return time.Unix(ruled.zone.instant(local), int64(slot.Nanosecond())).UTC(), true
}

// String implements Spec. The days of calendars are written out, so that what it
// returns can be read where the calendars are not, and is another when they change.
func (ruled *Ruled) String() string {
	if ruled.named == nil {
		return ruled.text
	}
	written := *ruled.named
	written.Calendars, written.Except = nil, slices.Clone(written.Except)
	for _, calendar := range ruled.days.calendars {
		for _, days := range calendar.days.ranges {
			written.Except = append(written.Except, days.String())
		}
	}
	text, err := written.text(ruled.zone, ruled.specs[0])
	if err != nil {
		return ruled.text // it had a JSON form before
	}
	return text
}

// Location returns the zone that dates and days of the week are of.
func (ruled *Ruled) Location() *time.Location { return ruled.zone.location }

// part returns a length from 0 to most, in whole milliseconds, by a hash.
func part(most time.Duration, hash hash64) time.Duration {
	return time.Duration(uint64(hash.mixed())%uint64(most/time.Millisecond+1)) * time.Millisecond
}

// A hash64 is a hash, FNV-1a, of texts and numbers. Slots depend on it: it must
// stay as it is.
type hash64 uint64

const empty64 hash64 = 14695981039346656037

func (h hash64) text(text string) hash64 {
	for i := range len(text) {
		h = (h ^ hash64(text[i])) * 1099511628211
	}
	return h
}

func (h hash64) number(n uint64) hash64 {
	for range 8 {
		h = (h ^ hash64(n&0xff)) * 1099511628211
		n >>= 8
	}
	return h
}

// mixed spreads what differs in few bits over all of them (the finalizer of MurmurHash3).
func (h hash64) mixed() hash64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
