package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// ScannerOptions tune a Scanner. The zero value is the default.
type ScannerOptions struct {
	Options

	Share    float64          // of one processor, that a scan may take; 0.01
	Rest     time.Duration    // at least, from the begin of a round to the next; 30 s
	Quiet    time.Duration    // at most, after a round that met no slot, while none is coming; 4 min
	Delay    time.Duration    // how old a slot is when it is judged; 15 s
	LookBack time.Duration    // how far back the first round goes; 10 min
	Longest  time.Duration    // what one round judges at most: what is older is passed over; 1 h
	Now      func() time.Time // this node's clock; time.Now
	Logger   *slog.Logger     // findings, at ERROR; silent
}

// A Scanner judges all entries over and over while a node dispatches: a round
// goes through them in slices, and rests so long after each that the share is kept,
// whatever the number of entries. A slot is judged once, in the round after it. After a round that met none,
// the next one comes with the next slot of the entries as they were then: only an edit may be met later.
type Scanner struct {
	ledger  Ledger
	options ScannerOptions
	log     *slog.Logger

	mu    sync.Mutex
	state State

	// Owned by Run.
	until   time.Time                 // slots up to then were judged
	left    map[schedule.ID]time.Time // entries whose slots since then were overdue, and are judged again
	current *round                    // that was begun; nil for none
	idle    time.Time                 // when the last round met no slot, when the next is to come; else zero
}

// A round is one way through all entries. It survives the end of Run, and an error.
type round struct {
	from, until time.Time
	after       schedule.ID // entries up to it were judged
	overdue     int64
	left        map[schedule.ID]time.Time
	busy        bool      // it met slots
	coming      time.Time // the next slot of those that it judged; zero for none
}

// A State is what a scanner has found since the process began.
type State struct {
	Rounds  int64
	Until   time.Time // slots up to then were judged; zero before the first round's end
	Slots   int64
	Counts  map[Kind]int64 // but for Overdue: slots overdue at present, of the last round
	Skipped time.Duration  // the time whose slots were passed over, for there was too much to judge
}

// NewScanner returns a scanner that has judged nothing.
func NewScanner(ledger Ledger, options ScannerOptions) *Scanner {
	if options.Share == 0 {
		options.Share = 0.01
	}
	for _, length := range []struct {
		into  *time.Duration
		value time.Duration
	}{
		{&options.Rest, 30 * time.Second},
		{&options.Quiet, 4 * time.Minute},
		{&options.Delay, 15 * time.Second},
		{&options.LookBack, 10 * time.Minute},
		{&options.Longest, time.Hour},
	} {
		if *length.into == 0 {
			*length.into = length.value
		}
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Scanner{ledger: ledger, options: options, log: options.Logger, state: State{Counts: map[Kind]int64{}}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// State tells what was found. It may be called at any time.
func (s *Scanner) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.Counts = make(map[Kind]int64, len(s.state.Counts))
	for kind, n := range s.state.Counts {
		state.Counts[kind] = n
	}
	return state
}

// Run scans until ctx ends, and then returns nil: a ledger that can't be read is
// read again later. It may be called again when it has returned.
func (s *Scanner) Run(ctx context.Context) error {
	failed := ""
	for {
		began := time.Now()
		if !s.sleep(ctx, s.options.Delay) { // for what a term begins with is late or being recovered
			return nil
		}
		err := s.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != failed {
			s.log.Warn("the ledger cannot be audited; trying on", "err", err)
			failed = err.Error()
		}
		if !s.sleep(ctx, max(s.options.Rest-time.Since(began), s.quiet())) {
			return nil
		}
	}
}

// quiet is how long nothing is expected to come that is to be judged, beyond the delay that each round begins with.
func (s *Scanner) quiet() time.Duration {
	if s.idle.IsZero() {
		return 0
	}
	return s.idle.Sub(s.options.Now())
}

// round judges what has come since the round before, or ends the one that was begun.
func (s *Scanner) round(ctx context.Context) error {
	if s.current == nil && !s.begin() {
		return nil
	}
	r := s.current
	for {
		began := time.Now()
		last, err := s.slice(ctx, r)
		if err != nil {
			return err
		}
		if last == "" {
			break
		}
		r.after = last
		if !s.sleep(ctx, time.Duration(float64(time.Since(began))*(1/s.options.Share-1))) {
			return nil
		}
	}
	s.until, s.left, s.current = r.until, r.left, nil
	s.idle = time.Time{}
	if !r.busy {
		s.idle = sooner(r.until.Add(s.options.Delay+s.options.Quiet), r.coming)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Rounds++
	s.state.Until = r.until
	s.state.Counts[Overdue] = r.overdue
	return nil
}

// begin makes a new round, unless no time has come to be judged.
func (s *Scanner) begin() bool {
	until := s.options.Now().Add(-s.options.Delay)
	from := s.until
	if from.IsZero() {
		from = until.Add(-s.options.LookBack)
	}
	if oldest := until.Add(-s.options.Longest); from.Before(oldest) {
		s.mu.Lock()
		s.state.Skipped += oldest.Sub(from)
		s.mu.Unlock()
		from = oldest
	}
	if !from.Before(until) { // the clock was set back
		return false
	}
	s.current = &round{from: from, until: until, left: map[schedule.ID]time.Time{}}
	return true
}

// slice judges some entries and returns the last one's id, empty at the end.
func (s *Scanner) slice(ctx context.Context, r *round) (schedule.ID, error) {
	subjects, last, err := s.ledger.Subjects(ctx, r.after, slice)
	if err != nil {
		return "", err
	}
	since := func(id schedule.ID) time.Time {
		if first, ok := s.left[id]; ok {
			return first
		}
		return r.from
	}
	report := newReport(r.from, r.until, s.options.Exceptions, loggedEach)
	err = judgeAll(ctx, s.ledger, subjects, since, r.until, s.options.Options, report, func(id schedule.ID, first time.Time) {
		r.left[id] = first.Add(-time.Microsecond)
	})
	if err != nil {
		return "", err
	}
	r.overdue += report.Counts[Overdue]
	r.busy = r.busy || report.Slots > 0 || !report.Clean()
	r.coming = sooner(r.coming, report.coming)
	s.add(report)
	return last, nil
}

// loggedEach is how many findings of a slice are logged one by one.
const loggedEach = 10

// add takes over what was found in a slice.
func (s *Scanner) add(report *Report) {
	s.mu.Lock()
	s.state.Slots += report.Slots - report.Counts[Overdue]
	for kind, n := range report.Counts {
		if kind != Overdue {
			s.state.Counts[kind] += n
		}
	}
	s.mu.Unlock()
	for _, f := range report.Findings {
		s.log.Error("audit: the ledger is not what the spec says", "kind", f.Kind, "entry", f.Name, "entry_id", f.Entry,
			"slot", f.Slot, "count", f.Count, "detail", f.Detail)
	}
	if report.More > 0 {
		s.log.Error("audit: there is more that the ledger is not what the specs say", "findings", report.More)
	}
}

// sleep waits, and returns false when ctx ended first.
func (s *Scanner) sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}
