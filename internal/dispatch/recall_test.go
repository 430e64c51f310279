package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A broker that comes back with older data is noticed, by the node that published and
// by one that takes over; what it has lost is sent again once, or only told of.
func TestABrokerThatForgets(t *testing.T) {
	for _, resend := range []bool{true, false} {
		for _, sameNode := range []bool{true, false} {
			for seed := range uint64(20) {
				t.Run(fmt.Sprintf("resend %v, same node %v, seed %d", resend, sameNode, seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { forget(t, resend, sameNode, seed) })
				})
			}
		}
	}
}

func forget(t *testing.T, resend, sameNode bool, seed uint64) {
	w := newWorld(t, seed, 0)
	w.resend = resend
	w.metrics = dispatch.NewMetrics()
	for i := range 5 {
		w.add(fmt.Sprint("e", i), fmt.Sprintf("@every %ds", 2+i), schedule.Once)
	}
	w.add("once", "@every 3s", schedule.Once)
	add := w.entries["once"]
	w.entries["once"] = func(after time.Time) *schedule.Entry {
		return withTask(t, add(after), `{"delivery": "at_most_once"}`)
	}
	from := time.Now()
	run := func(until time.Time) {
		ctx, cancel := context.WithDeadline(t.Context(), until)
		defer cancel()
		for ctx.Err() == nil { // a term after another, as a node does
			if err := w.node(ctx, context.Background(), nil); err != nil && !errors.Is(err, celery.ErrForgot) {
				t.Fatal(err)
			}
			if !sameNode {
				w.metrics = dispatch.NewMetrics()
			}
		}
	}
	old, kept := w.broker.mark, 0
	after := func(d time.Duration, do func()) {
		time.AfterFunc(d, func() { w.broker.mu.Lock(); defer w.broker.mu.Unlock(); do() })
	}
	after(21*time.Second+time.Duration(seed)*100*time.Millisecond, func() { old, kept = w.broker.mark, len(w.broker.got) })
	back := func() { w.broker.got, w.broker.mark = w.broker.got[:kept], old }
	if sameNode {
		after(40*time.Second+time.Duration(seed)*100*time.Millisecond, back)
	} else {
		run(from.Add(40*time.Second + time.Duration(seed)*100*time.Millisecond))
		back()
	}
	run(from.Add(61 * time.Second))

	arrived := map[string]int{}
	for _, m := range w.broker.got {
		arrived[m.id]++
	}
	missing := 0
	for _, run := range w.ledger.runs {
		if run.State != schedule.Sent {
			continue
		}
		switch n := arrived[run.TaskID]; {
		case n > 1:
			t.Errorf("%s %v is at the broker %d times", run.Entry, run.Slot, n)
		case n == 0 && resend && run.Entry != "once":
			t.Errorf("%s %v was lost and not sent again", run.Entry, run.Slot)
		case n == 0:
			missing++
		}
	}
	if missing == 0 || w.metrics.Forgotten() == "" && sameNode {
		t.Errorf("%d messages are missing, and the metrics say %q; want some: once goes at most once", missing, w.metrics.Forgotten())
	}
}

// A broker that comes back empty tells not even since when: nobody is told that nothing was lost.
func TestABrokerThatForgetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.metrics = dispatch.NewMetrics()
		w.add("e", "@every 2s", schedule.Once)
		time.AfterFunc(11*time.Second, func() {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			w.broker.got, w.broker.mark = nil, celery.Mark{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			if err := w.node(ctx, context.Background(), nil); err != nil && !errors.Is(err, celery.ErrForgot) {
				t.Fatal(err)
			}
		}
		if got := w.metrics.Forgotten(); !strings.Contains(got, "without what it had: what it has lost is not known") {
			t.Errorf("the metrics say %q, want that it is not known what was lost", got)
		}
	})
}

// Who saw that the broker forgot, and leads again after another node that has told it, says nothing of it.
func TestWhatAnotherNodeHasSettledIsNotToldOfAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 2s", schedule.Once)
		saw, other := dispatch.NewMetrics(), dispatch.NewMetrics()
		w.metrics = saw
		time.AfterFunc(11*time.Second, func() {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			w.broker.got, w.broker.mark = nil, celery.Mark{}
		})
		if err := w.node(t.Context(), context.Background(), nil); !errors.Is(err, celery.ErrForgot) {
			t.Fatal(err)
		}
		for _, w.metrics = range []*dispatch.Metrics{other, saw} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := w.node(ctx, context.Background(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := saw.Forgotten(); got != "" {
			t.Errorf("the metrics say %q, want nothing", got)
		}
	})
}

// A ledger may be too large to be read in time: then it is not known what is lost, and the others are not kept waiting for it.
func TestALedgerThatIsTooLargeToReadKeepsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		metrics := dispatch.NewMetrics()
		var log bytes.Buffer
		w.ledger.term, w.ledger.seq = 1, 9
		w.broker.mark = celery.Mark{Term: 1, Seq: 5, Done: 1, At: time.Now().UnixMicro()}
		hold, end := context.WithTimeout(t.Context(), time.Hour)
		defer end()
		term, seq, journal := w.ledger.takeOver()
		began := time.Now()
		d := dispatch.New(make(list), w.ledger, w.broker, dispatch.Options{
			Installation: installation, Metrics: metrics, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			SentSince: func(ctx context.Context, _ time.Time) ([]schedule.Run, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		if _, err := d.Recover(hold, term, seq, dispatch.ClaimsOf(journal), func(id schedule.ID) schedule.Change { return schedule.Change{ID: id} }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the recovery took %v", took)
		}
		if got := metrics.Forgotten(); !strings.Contains(got, "what it has lost is not known") || !strings.Contains(log.String(), "the ledger is not read in time") {
			t.Errorf("the metrics say %q, want that it is not known what was lost; and the log:\n%s", got, log.String())
		}
	})
}

// A broker whose data is older, but by nothing that was sent, as where another was used meanwhile that took nothing.
func TestABrokerThatIsBehindByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.metrics = dispatch.NewMetrics()
		var log bytes.Buffer
		w.log = slog.New(slog.NewTextHandler(&log, nil))
		w.add("e", "@every 2s", schedule.Once)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := w.node(ctx, context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			cancel()
			w.broker.mark.Seq--
		}
		if got := log.String(); strings.Contains(got, "are gone") || !strings.Contains(got, "level=WARN msg=\"the broker has come back with older data: nothing that is on record was sent since then") {
			t.Errorf("the log does not say that nothing is lost:\n%s", got)
		}
		if got := w.metrics.Forgotten(); !strings.Contains(got, "nothing that is on record was sent since then") {
			t.Errorf("the metrics say %q, want that nothing is lost", got)
		}
	})
}

// A database that was restored from a backup of the same term gives a term that the broker takes.
func TestADatabaseThatIsOlderThanTheBrokerIsToldOf(t *testing.T) {
	for _, older := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, 0)
			var log bytes.Buffer
			w.log = slog.New(slog.NewTextHandler(&log, nil))
			w.add("e", "@every 2s", schedule.Once)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if err := w.node(ctx, context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				cancel()
				if older {
					w.broker.mark.Seq += 3
				}
			}
			if told := strings.Contains(log.String(), "the database is older than the broker") && strings.Contains(log.String(), "batches=3"); told != older {
				t.Errorf("an older database: %v, and the log says so: %v\n%s", older, told, log.String())
			}
		})
	}
}

// Who published itself until the broker went away, and forgot all that it had, knows what it had got to hand over. What came due
// meanwhile never left, and is sent also where it goes at most once.
func TestWhatNeverLeftIsNotUnsure(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, 0)
				w.metrics = dispatch.NewMetrics()
				w.add("e", "@every 1s", schedule.Once)
				add := w.entries["e"]
				w.entries["e"] = func(after time.Time) *schedule.Entry { return withTask(t, add(after), `{"delivery": "at_most_once"}`) }
				time.AfterFunc(10500*time.Millisecond, func() { w.broker.set(1) })
				gone := map[string]bool{}
				time.AfterFunc(15500*time.Millisecond, func() {
					w.broker.mu.Lock()
					defer w.broker.mu.Unlock()
					for _, m := range w.broker.got {
						gone[m.id] = true
					}
					w.broker.got, w.broker.mark = nil, celery.Mark{}
					w.broker.set(0)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 25500*time.Millisecond)
				defer cancel()
				for ctx.Err() == nil {
					if err := w.node(ctx, context.Background(), nil); err != nil && !errors.Is(err, celery.ErrForgot) {
						t.Fatal(err)
					}
				}
				arrived, unsure := map[string]int{}, 0
				for _, m := range w.broker.got {
					arrived[m.id]++
				}
				for _, run := range w.ledger.runs {
					switch n := arrived[run.TaskID]; {
					case run.State == schedule.Unsure:
						unsure++
						if n > 0 {
							t.Errorf("%v is unsure, and was sent again", run.Slot)
						}
					case run.State != schedule.Sent:
						t.Errorf("%v ended as %s, %s", run.Slot, run.State, run.Reason)
					case n > 1 || n > 0 && gone[run.TaskID]:
						t.Errorf("%v was sent twice", run.Slot)
					case n == 0 && !gone[run.TaskID]:
						t.Errorf("%v was recorded as sent, and was not", run.Slot)
					}
				}
				if len(w.ledger.runs) != 25 || unsure != 1 {
					t.Errorf("of %d slots %d are unsure, want 25 and the one that was being handed over", len(w.ledger.runs), unsure)
				}
			})
		})
	}
}

// A forgetful broker says with each part that it has lost what it had taken.
type forgetful struct{ *broker }

func (forgetful) Publish(context.Context, celery.Part) ([]celery.Failure, error) {
	return nil, celery.ErrForgot
}

// The mark that is left may be in the midst of a batch that waits for a withdrawn slot to be claimed again, while later batches
// are recorded. What is resent of those must not be taken for the rest of that batch, which was lost too.
func TestTheRestOfABatchIsNotTakenForWhatIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		start := time.Now().UTC().Truncate(time.Second)
		time.Sleep(10 * time.Second)
		id := func(entry string, after int) string {
			return celery.TaskID(installation, entry, start.Add(time.Duration(after)*time.Second))
		}
		entries := map[schedule.ID]*schedule.Entry{}
		for _, name := range []string{"a", "b", "c", "d", "x", "y"} {
			entries[schedule.ID(name)] = entry(t, name, "@every 1h", start.Add(9*time.Second))
			entries[schedule.ID(name)].Misfire = schedule.Misfire{Policy: schedule.Once, Grace: time.Hour}
		}
		waits := schedule.Claimed{Term: 1, Seq: 5}
		for i, name := range []schedule.ID{"a", "b", "c", "d"} {
			waits.Dues = append(waits.Dues, schedule.ClaimedDue{Entry: name, Slot: start.Add(time.Duration(i) * time.Second), Digest: 1})
		}
		w.ledger.journal, w.ledger.term, w.ledger.seq = []schedule.Claimed{waits}, 1, 7
		for i, name := range []string{"x", "y"} {
			after := 4 + i
			w.ledger.runs = append(w.ledger.runs, schedule.Run{
				Entry: schedule.ID(name), Name: name, State: schedule.Sent, TaskID: id(name, after),
				Slot: start.Add(time.Duration(after) * time.Second), SentAt: start.Add(time.Duration(after)*time.Second + time.Millisecond),
			})
		}
		w.broker.mark = celery.Mark{Term: 1, Seq: 5, Done: 1, At: start.UnixMicro(), Last: id("a", 0)}
		w.broker.got = []sent{{id("a", 0), start, start}}
		metrics := dispatch.NewMetrics()
		for _, broker := range []dispatch.Publisher{forgetful{w.broker}, w.broker} { // the first term notices
			term, seq, journal := w.ledger.takeOver()
			d := dispatch.New(make(list), w.ledger, broker, dispatch.Options{Installation: installation, Metrics: metrics, Resend: true, SentSince: w.ledger.sentSince})
			seq, err := d.Recover(t.Context(), term, seq, dispatch.ClaimsOf(journal), func(id schedule.ID) schedule.Change {
				return schedule.Change{ID: id, Entry: entries[id]}
			})
			if err == nil {
				ctx, stop := context.WithCancel(t.Context())
				stop()
				err = d.Run(ctx, t.Context(), term, seq)
			}
			if err != nil && !errors.Is(err, celery.ErrForgot) {
				t.Fatal(err)
			}
		}
		arrived := map[string]int{}
		for _, m := range w.broker.got {
			arrived[m.id]++
		}
		for i, name := range []string{"a", "b", "c", "d", "x", "y"} {
			if n := arrived[id(name, i)]; n != 1 {
				t.Errorf("the message of %s is at the broker %d times, want once", name, n)
			}
		}
		if len(w.ledger.journal) != 0 {
			t.Errorf("the journal has %+v, want nothing", w.ledger.journal)
		}
	})
}

// Who takes over from a node that is lost, and finds a broker that knows less than the journal, can't know what had left: it sends nothing again that
// goes at most once.
func TestWhatTheNodeBeforeMayHaveSentGoesAtMostOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records bool // the lost node had recorded some of what it sent
		empty   bool // the broker has lost everything, and not what came since the term before
	}{{"all is lost", true, true}, {"all is lost and nothing was recorded", false, true}, {"the last term is lost", false, false}} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("%s, seed %d", tt.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, 0)
					w.add("e", "@every 1s", schedule.Once)
					add := w.entries["e"]
					w.entries["e"] = func(after time.Time) *schedule.Entry { return withTask(t, add(after), `{"delivery": "at_most_once"}`) }
					run := func(length time.Duration) {
						ctx, cancel := context.WithTimeout(t.Context(), length)
						defer cancel()
						if err := w.node(ctx, context.Background(), nil); err != nil {
							t.Fatal(err)
						}
					}
					run(5500 * time.Millisecond)
					before := w.broker.mark
					hold, crash := context.WithTimeout(t.Context(), 5*time.Second)
					defer crash()
					if tt.records {
						time.AfterFunc(2*time.Second, func() { w.ledger.mu.Lock(); defer w.ledger.mu.Unlock(); w.ledger.full = true })
					} else {
						w.ledger.full = true
					}
					if err := w.node(hold, hold, nil); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatal(err)
					}
					times := map[string]int{}
					for _, m := range w.broker.got {
						times[m.id]++
					}
					w.broker.got, w.broker.mark, w.ledger.full = nil, before, false
					if tt.empty {
						w.broker.mark = celery.Mark{}
					}
					run(5 * time.Second)
					for _, m := range w.broker.got {
						times[m.id]++
					}
					for id, n := range times {
						if n > 1 {
							t.Errorf("%s arrived %d times", id, n)
						}
					}
					unsure := 0
					for _, run := range w.ledger.runs {
						if run.State == schedule.Unsure {
							unsure++
						}
					}
					if unsure == 0 || len(w.ledger.journal) != 0 || len(w.ledger.runs) < 15 {
						t.Errorf("of %d slots %d are unsure, and the journal has %d batches; want all of 15, some, and none", len(w.ledger.runs), unsure, len(w.ledger.journal))
					}
				})
			})
		}
	}
}

// A dying broker ends its node once it has taken so many parts.
type dying struct {
	*broker
	parts int
	end   func()
}

func (d *dying) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	failures, err := d.broker.Publish(ctx, part)
	if d.parts--; d.parts == 0 {
		d.end()
		return nil, ctx.Err()
	}
	return failures, err
}

// Wherever a recovery dies that has found the broker empty, the next knows what it knew: what goes at most once is not sent
// again, nor is anything else that it had sent.
func TestARecoveryAfterTheBrokerForgotIsGoneOnWith(t *testing.T) {
	for dies := range 10 {
		t.Run(fmt.Sprintf("after %d parts", dies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 0)
				past := time.Now().UTC()
				time.Sleep(time.Second)
				entries := map[schedule.ID]*schedule.Entry{}
				w.ledger.term, w.ledger.seq = 1, 8
				for seq := range int64(3) {
					claimed := schedule.Claimed{Term: 1, Seq: 6 + seq}
					for i := range 6 {
						id := schedule.ID(fmt.Sprint(seq, i))
						entries[id] = entry(t, string(id), "@every 1h", past)
						if i%2 == 0 {
							withTask(t, entries[id], `{"delivery": "at_most_once"}`)
						}
						claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{Entry: id, Slot: past, Digest: 1})
					}
					w.ledger.journal = append(w.ledger.journal, claimed)
				}
				for _, parts := range []int{dies, 0} {
					hold, end := context.WithCancel(t.Context())
					term, seq, journal := w.ledger.takeOver()
					d := dispatch.New(make(list), w.ledger, &dying{w.broker, parts, end}, dispatch.Options{Installation: installation, Batch: 2})
					seq, err := d.Recover(hold, term, seq, dispatch.ClaimsOf(journal), func(id schedule.ID) schedule.Change {
						return schedule.Change{ID: id, Entry: entries[id]}
					})
					if err == nil && parts == 0 {
						ctx, stop := context.WithCancel(t.Context())
						stop()
						err = d.Run(ctx, t.Context(), term, seq)
					}
					if err != nil && parts == 0 {
						t.Fatal(err)
					}
					end()
				}
				arrived := map[string]int{}
				for _, m := range w.broker.got {
					arrived[m.id]++
				}
				for id, e := range entries {
					want := 1
					if e.Payload.(*celery.Template).AtMostOnce() {
						want = 0
					}
					if n := arrived[celery.TaskID(installation, string(id), past)]; n != want {
						t.Errorf("the message of %s is at the broker %d times, want %d", id, n, want)
					}
				}
				unsure := 0
				for _, run := range w.ledger.runs {
					if run.State == schedule.Unsure {
						unsure++
					}
				}
				if len(w.ledger.runs) != 18 || unsure != 9 || len(w.ledger.journal) != 0 {
					t.Errorf("%d slots have an end, %d of them unsure, and the journal has %d batches; want 18, 9 and none", len(w.ledger.runs), unsure, len(w.ledger.journal))
				}
			})
		})
	}
}

// A term may end before its recovery has got to tell the broker that it forgot. What the process had seen of that counts in its next
// term: of what goes at most once nothing is sent again.
func TestARecoveryThatEndsEarlyKnowsInItsNextTermThatTheBrokerForgot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		seen  bool // by what the broker answered; else by the term of a claim
		midst bool // of the batch that is claimed: the mark is told of all this with its rest
	}{{"as it said", true, false}, {"as it said, in the midst of a batch", true, true}, {"as the journal says", false, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 0)
				past := time.Now().UTC()
				time.Sleep(time.Second)
				once := withTask(t, entry(t, "once", "@every 1h", past), `{"delivery": "at_most_once"}`)
				first := entry(t, "first", "@every 1h", past)
				present := func(id schedule.ID) schedule.Change {
					return schedule.Change{ID: id, Entry: map[schedule.ID]*schedule.Entry{"once": once, "first": first}[id]}
				}
				claimed := schedule.Claimed{Term: 1, Seq: 6, Dues: []schedule.ClaimedDue{
					{Entry: "first", Slot: past, Digest: 1}, {Entry: "once", Slot: past, Digest: 1},
				}}
				if !tt.seen {
					claimed.Term = 2
				}
				w.ledger.journal, w.ledger.term, w.ledger.seq = []schedule.Claimed{claimed}, claimed.Term, 6
				w.broker.mark = celery.Mark{Term: 1, Seq: 5, Done: 1, At: past.UnixMicro()}
				if tt.midst {
					w.broker.mark.Seq = 6
				}
				metrics := dispatch.NewMetrics()
				again := func(hold context.Context, publisher dispatch.Publisher, since func(context.Context, time.Time) ([]schedule.Run, error)) error {
					term, seq, journal := w.ledger.takeOver()
					d := dispatch.New(make(list), w.ledger, publisher, dispatch.Options{Installation: installation, Metrics: metrics, SentSince: since})
					seq, err := d.Recover(hold, term, seq, dispatch.ClaimsOf(journal), present)
					if err == nil {
						ctx, stop := context.WithCancel(t.Context())
						stop()
						err = d.Run(ctx, t.Context(), term, seq)
					}
					return err
				}
				if tt.seen {
					if err := again(t.Context(), forgetful{w.broker}, w.ledger.sentSince); !errors.Is(err, celery.ErrForgot) {
						t.Fatal(err)
					}
				}
				hold, lose := context.WithCancel(t.Context())
				err := again(hold, w.broker, func(ctx context.Context, _ time.Time) ([]schedule.Run, error) { lose(); return nil, ctx.Err() })
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if err := again(t.Context(), w.broker, w.ledger.sentSince); err != nil {
					t.Fatal(err)
				}
				for _, m := range w.broker.got {
					if m.id == celery.TaskID(installation, "once", past) {
						t.Error("what goes at most once was sent again")
					}
				}
				if len(w.ledger.runs) != 2 || len(w.ledger.journal) != 0 {
					t.Errorf("%d slots have an end, and the journal has %d batches; want 2 and none", len(w.ledger.runs), len(w.ledger.journal))
				}
			})
		})
	}
}
