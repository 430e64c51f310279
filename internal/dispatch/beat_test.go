package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A stream is slots at even distances, handed over a little before they come, and a
// broker that takes no time.
type stream struct {
	*herd
	handed int
	parts  int
	first  int // messages of the first part
	late   []time.Duration
	early  int
}

func newStream(t *testing.T, slots int, apart time.Duration) *stream {
	t.Helper()
	s := &stream{herd: newHerd(t, slots)}
	first := time.Now().UTC().Truncate(time.Second).Add(time.Second + 300*time.Microsecond)
	for i := range s.dues {
		s.dues[i].Slot = first.Add(time.Duration(i) * apart)
	}
	return s
}

func (s *stream) Pull(ctx context.Context, most int) ([]schedule.Due, error) {
	if s.handed == len(s.dues) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(time.Until(s.dues[s.handed].Slot.Add(-100 * time.Millisecond)))
	dues := s.dues[s.handed:]
	dues = dues[:min(most, len(dues))]
	s.handed += len(dues)
	return dues, nil
}

func (s *stream) Publish(_ context.Context, part celery.Part) ([]celery.Failure, error) {
	if s.parts++; s.parts == 1 {
		s.first = len(part.Messages)
	}
	for _, m := range part.Messages {
		late := time.Since(m.Slot)
		s.late = append(s.late, late)
		if late < 0 {
			s.early++
		}
	}
	return nil, nil
}

// send dispatches all slots of the stream and returns what was logged.
func (s *stream) send(t *testing.T) string {
	t.Helper()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.done = cancel
	d := dispatch.New(s, s, s, dispatch.Options{Installation: "stream", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := d.Run(ctx, t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	if s.recorded != len(s.dues) {
		t.Fatalf("%d slots are recorded, want %d", s.recorded, len(s.dues))
	}
	return log.String()
}

// A part costs as much as many messages: slots that come soon after one leave together, the more the more
// there are, and what comes alone does not wait.
func TestSlotsThatComeSoonLeaveTogether(t *testing.T) {
	for _, tt := range []struct {
		apart time.Duration
		slots int
		parts int
		half  time.Duration // how late half of them are at most
		worst time.Duration
		what  string
	}{
		{apart: 20 * time.Microsecond, slots: 15_000, parts: 220, half: 2500 * time.Microsecond, worst: 5 * time.Millisecond, what: "50,000 slots a second"},
		{apart: 50 * time.Microsecond, slots: 20_000, parts: 600, half: 1100 * time.Microsecond, worst: 2200 * time.Microsecond, what: "20,000 slots a second"},
		{apart: time.Millisecond, slots: 1000, parts: 800, half: 700 * time.Microsecond, worst: 1300 * time.Microsecond, what: "1,000 slots a second"},
		{apart: 10 * time.Millisecond, slots: 100, parts: 100, what: "100 slots a second"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t, tt.slots, tt.apart)
			s.send(t)
			if s.parts > tt.parts {
				t.Errorf("%s went out in %d parts, want %d at most", tt.what, s.parts, tt.parts)
			}
			slices.Sort(s.late)
			half, worst := s.late[len(s.late)/2], s.late[len(s.late)-1]
			if s.early > 0 || half > tt.half || worst > tt.worst {
				t.Errorf("%s: %d went out early, half of them up to %v late, and the last %v; want none, %v and %v at most", tt.what, s.early, half, worst, tt.half, tt.worst)
			}
		})
	}
}

// A herd does not wait for itself, though it goes out in many parts.
func TestAHerdDoesNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, 10_000, 0)
		told := s.send(t)
		if worst := slices.Max(s.late); worst > 0 {
			t.Errorf("of slots of one instant some left %v later than the first", worst)
		}
		if s.first > 50 {
			t.Errorf("the first waited for %d others to be made, want 50 at most", s.first-1)
		}
		if lines := strings.Count(told, `msg="task sent"`); lines > 0 {
			t.Errorf("%d of the herd were logged one by one, between the first part and the second", lines)
		}
	})
}

// Who reads the log finds a line for each send, unless there are more than can be read:
// then all are told of, the most of them together.
func TestManySendsAreToldOfTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := newStream(t, 150, 20*time.Millisecond).send(t)
		if got := strings.Count(few, `msg="task sent"`); got != 150 {
			t.Errorf("of 50 sends a second %d of 150 have a line of their own, want all", got)
		}
		for herd, want := range map[int]int{100: 100, 101: 0} { // though each leaves in parts
			s := newStream(t, herd, 0)
			log, slot := s.send(t), s.dues[0].Slot.Format("2006-01-02T15:04:05.000Z07:00")
			if got := strings.Count(log, `msg="task sent"`); got != want || want == 0 && !strings.Contains(log, fmt.Sprintf(`msg="tasks sent" sent=%d slot=%s `, herd, slot)) {
				t.Errorf("of a herd of %d, of %s, %d have a line of their own, want %d, or a line of all:\n%s", herd, slot, got, want, log)
			}
		}
		many := newStream(t, 6000, 500*time.Microsecond)
		told, together, worst, lines := 0, 0, time.Duration(0), strings.Split(strings.TrimSpace(many.send(t)), "\n")
		for _, line := range lines {
			n := 0
			if strings.Contains(line, `msg="task sent"`) {
				told++
			} else if _, after, ok := strings.Cut(line, `msg="tasks sent" sent=`); ok {
				if _, err := fmt.Sscan(after, &n); err != nil {
					t.Errorf("line %q: %v", line, err)
				}
				told += n
				together++
				_, after, _ = strings.Cut(line, " late=")
				late, err := time.ParseDuration(after)
				if err != nil {
					t.Errorf("line %q: %v", line, err)
				}
				worst = max(worst, late)
			}
		}
		if told != 6000 || together < 3 || len(lines) > 450 {
			t.Errorf("6000 sends in three seconds: %d lines tell of %d, %d of them of several together; want all in 450 lines at most, and one a second of several", len(lines), told, together)
		}
		if want := slices.Max(many.late).Round(10 * time.Microsecond); worst != want {
			t.Errorf("the worst is told to be %v late, want %v", worst, want)
		}
	})
}

// So it is with slots that end otherwise, as thousands may that were missed: their number is told, by what became of them.
func TestManyEndsAreToldOfTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, 6000, 0)
		for i := range s.dues {
			switch due := &s.dues[i]; i % 3 {
			case 0:
				due.State, due.Reason, due.Count = schedule.Coalesced, schedule.ReasonMisfire, 3
			case 1:
				due.State, due.Reason = schedule.Failed, "no such queue"
			case 2:
				due.State, due.Reason = schedule.Unsure, "the node was lost"
			}
		}
		log, told := s.send(t), 0
		for line := range strings.Lines(log) {
			n := 1 // of a line of its own that has no count
			for _, count := range []string{" count=", " slots="} {
				if _, after, ok := strings.Cut(line, count); ok {
					if _, err := fmt.Sscan(after, &n); err != nil {
						t.Errorf("line %q: %v", line, err)
					}
				}
			}
			told += n
		}
		if want, lines := 2000*3+2000+2000, strings.Count(log, "\n"); told != want || lines > 320 {
			t.Errorf("%d lines tell of %d slots, want all of %d in 320 lines at most:\n%s", lines, told, want, log[:min(len(log), 1000)])
		}
	})
}

// Few slots that end otherwise have lines of their own among thousands that are sent: who reads of one looks for its entry.
func TestFewEndsAreToldOfAmongManySends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, 5000, 0)
		for i := range 3 {
			s.dues[i*1500].State, s.dues[i*1500].Reason = schedule.Failed, "no such queue"
		}
		log := s.send(t)
		if got := strings.Count(log, `msg="slot failed" entry=`); got != 3 {
			t.Errorf("%d of 3 slots that failed have a line of their own:\n%s", got, log[:min(len(log), 1000)])
		}
	})
}

// A slow is a broker of which a message takes each.
type slow struct {
	*herd
	each    time.Duration
	longest time.Duration
	parts   int
}

func (s *slow) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	took := 40*time.Millisecond + time.Duration(len(part.Messages))*s.each
	s.longest, s.parts = max(s.longest, took), s.parts+1
	select {
	case <-time.After(took):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Large parts make the most of a broker that answers late but takes many at a time; one
// that is slow gets no part that it cannot take in a moment.
func TestPartsAreAsLargeAsTheBrokerTakes(t *testing.T) {
	for _, tt := range []struct {
		what    string
		each    time.Duration
		parts   int
		longest time.Duration
	}{
		{"20,000 messages a second", 50 * time.Microsecond, 12, time.Second},
		{"10,000 messages a second", 100 * time.Microsecond, 8, time.Second},
		{"500 messages a second", 2 * time.Millisecond, 150, 2500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{herd: newHerd(t, 40_000), each: tt.each}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.left, s.done = len(s.dues), cancel
			if err := dispatch.New(s, s, s, dispatch.Options{Installation: "slow", Batch: 8000}).Run(ctx, t.Context(), 1, 0); err != nil {
				t.Fatal(err)
			}
			if s.recorded != len(s.dues) || s.parts > tt.parts || s.longest > tt.longest {
				t.Errorf("%s: %d slots went out in %d parts, the longest took %v; want %d in %d parts at most, and %v", tt.what, s.recorded, s.parts, s.longest, len(s.dues), tt.parts, tt.longest)
			}
		})
	}
}
