package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A herd is slots that have all come, handed over in full batches, to a ledger
// and a broker that take no time.
type herd struct {
	dues []schedule.Due
	left int
	done func() // called when all are recorded

	recorded int
}

func newHerd(tb testing.TB, entries int) *herd {
	tb.Helper()
	config, err := celery.ParseConfig(nil)
	if err != nil {
		tb.Fatal(err)
	}
	h := &herd{dues: make([]schedule.Due, entries)}
	slot := time.Now().UTC().Truncate(time.Second)
	for i := range h.dues {
		name := fmt.Sprintf("report of customer %d", i)
		template, err := config.Template(celery.Task{Name: "bench.tasks.report", Entry: name, Args: fmt.Sprintf(`["daily", %d]`, i)})
		if err != nil {
			tb.Fatal(err)
		}
		h.dues[i] = schedule.Due{Slot: slot, Entry: &schedule.Entry{ID: schedule.ID(name), Name: name, Task: "bench.tasks.report", Payload: template}}
	}
	return h
}

func (h *herd) Pull(ctx context.Context, most int) ([]schedule.Due, error) {
	if h.left == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	n := min(most, h.left)
	dues := h.dues[len(h.dues)-h.left:][:n]
	h.left -= n
	return dues, nil
}

func (h *herd) Claim(context.Context, schedule.Batch) error { return nil }

func (h *herd) Record(_ context.Context, _ int64, _ []int64, runs []schedule.Run) error {
	if h.recorded += len(runs); h.recorded == len(h.dues) {
		h.done()
	}
	return nil
}

func (h *herd) Take(context.Context, int64) (celery.Mark, error) { return celery.Mark{}, nil }

func (h *herd) Publish(context.Context, celery.Part) ([]celery.Failure, error) { return nil, nil }

// run dispatches all slots once.
func (h *herd) run(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	h.left, h.recorded, h.done = len(h.dues), 0, cancel
	if err := dispatch.New(h, h, h, dispatch.Options{Installation: "herd"}).Run(ctx, tb.Context(), 1, 0); err != nil {
		tb.Fatal(err)
	}
	if h.recorded != len(h.dues) {
		tb.Fatalf("%d slots are recorded, want %d", h.recorded, len(h.dues))
	}
}

// A parted broker notes how many messages each part has.
type parted struct {
	*herd
	sizes []int
}

func (p *parted) Publish(_ context.Context, part celery.Part) ([]celery.Failure, error) {
	p.sizes = append(p.sizes, len(part.Messages))
	return nil, nil
}

// The first of a herd waits for few others, also where the node woke late for it, as on a busy machine.
func TestTheFirstOfAHerdLeavesWithFewOthers(t *testing.T) {
	for _, late := range []time.Duration{0, 3 * time.Millisecond, 40 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			h := newHerd(t, 3000)
			for i := range h.dues {
				h.dues[i].Slot = h.dues[i].Slot.Add(2 * time.Second)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h.left, h.done = len(h.dues), cancel
			sleep := func(_ context.Context, length time.Duration) bool {
				time.Sleep(length + late)
				return true
			}
			p := &parted{herd: h}
			if err := dispatch.New(h, h, p, dispatch.Options{Installation: "herd", Sleep: sleep}).Run(ctx, t.Context(), 1, 0); err != nil {
				t.Fatal(err)
			}
			if len(p.sizes) < 2 || p.sizes[0] > 5 {
				t.Errorf("woken %v late, the first part has %d messages, want 5", late, p.sizes[0])
			}
			if late > 5*time.Millisecond && p.sizes[1] < 900 {
				t.Errorf("woken %v late, the second part has %d messages: it is late already, and is to be large", late, p.sizes[1])
			}
		})
	}
}

// What dispatching itself takes for a message, without database and broker.
func BenchmarkHerd(b *testing.B) {
	const entries = 10_000
	h := newHerd(b, entries)
	b.ReportAllocs()
	for b.Loop() {
		h.run(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/message")
}

// Speed is lost where something waits, too, which no processor time tells of: between a ledger and a broker
// that take no time, a herd takes none, however many they are.
func TestAHerdWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t, 20_000)
		began := time.Now()
		h.run(t)
		if took := time.Since(began); took > 0 {
			t.Errorf("a herd of %d took %v, want no time", len(h.dues), took)
		}
	})
}

// Garbage is what a herd's speed is lost to: collecting it costs more than making
// it. Its bound is half as much again as was measured. The run of a slot is none: it waits to be recorded.
func TestAHerdMakesLittleGarbage(t *testing.T) {
	const entries, most, mostAllocations = 100_000, 275 + uint64(unsafe.Sizeof(schedule.Run{})), 1
	h := newHerd(t, entries)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.run(t)
	runtime.ReadMemStats(&after)
	if bytes := (after.TotalAlloc - before.TotalAlloc) / entries; bytes > most {
		t.Errorf("a message makes %d bytes of garbage, want %d at most", bytes, most)
	} else {
		t.Logf("a message makes %d bytes of garbage", bytes)
	}
	if allocations := float64(after.Mallocs-before.Mallocs) / entries; allocations > mostAllocations {
		t.Errorf("a message takes %.2f allocations, want %d at most", allocations, mostAllocations)
	} else {
		t.Logf("a message takes %.2f allocations", allocations)
	}
}
