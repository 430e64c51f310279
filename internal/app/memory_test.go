package app

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Garbage costs memory, collecting it costs time that grows with what is in use.
func TestGarbageIsAQuarterOfWhatIsInUseWithinBounds(t *testing.T) {
	const mega = 1 << 20
	for _, tt := range []struct {
		inUse   uint64
		loading bool
		busy    bool
		most    uint64
	}{
		{0, false, false, 1},
		{2 * mega, false, false, 2 * mega},
		{9 * mega, false, false, 9 * mega},  // 10,000 entries
		{30 * mega, false, false, headroom}, // 30,000
		{100 * mega, false, false, 25 * mega},
		{300 * mega, false, false, 48 * mega},   // a million
		{2000 * mega, false, false, 200 * mega}, // ten
		{9 * mega, true, false, 9 * mega},
		{100 * mega, true, false, 50 * mega},
		{240 * mega, true, false, 60 * mega},
		{2000 * mega, true, false, 200 * mega},
		{0, false, true, herdroom},
		{9 * mega, false, true, herdroom},
		{30 * mega, false, true, herdroom},
		{70 * mega, false, true, herdroom}, // 100,000
		{100 * mega, false, true, 40 * mega},
		{150 * mega, false, true, 75 * mega / 2},
		{300 * mega, false, true, 75 * mega},
		{800 * mega, false, true, 200 * mega}, // a million that are due
		{240 * mega, true, true, 60 * mega},
	} {
		percent := percentOf(tt.inUse, tt.loading, tt.busy)
		base := tt.inUse
		if tt.busy {
			base = max(base, 4*mega)
		}
		garbage := base * uint64(percent) / 100
		if percent < 10 || percent > 100 && !tt.busy || garbage > tt.most || garbage < tt.most*9/10 && base > 0 {
			t.Errorf("with %d in use, loading %v, busy %v, garbage is %d (%d %%), want about %d", tt.inUse, tt.loading, tt.busy, garbage, percent, tt.most)
		}
	}
}

// Room for garbage is given while many slots leave, and taken back when they don't.
func TestAHerdHasRoomForGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	synctest.Test(t, func(t *testing.T) {
		c := &collector{whole: true}
		c.adjust()
		calmly := c.percent
		for range 20 { // 900 a second
			c.leave(450)
			time.Sleep(time.Second / 2)
		}
		if c.percent != calmly {
			t.Fatalf("900 slots a second gave room: %d %%, before %d", c.percent, calmly)
		}
		c.leave(600)
		c.leave(500)
		herd := c.percent
		if herd <= calmly {
			t.Fatalf("a herd gave no room: %d %%, before %d", herd, calmly)
		}
		time.Sleep(calm - time.Second)
		c.leave(many)
		time.Sleep(calm - time.Second)
		if c.mu.Lock(); c.percent < herd/2 {
			t.Errorf("room was taken back after the first of two herds: %d %%, in the herd %d", c.percent, herd)
		}
		c.mu.Unlock()
		time.Sleep(2 * time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.percent > calmly*3/2 {
			t.Errorf("room was left after a herd: %d %%, before %d", c.percent, calmly)
		}
	})
}

// What is kept of an entry, as it is planned and ready to be sent, is what a
// million of them take. The bound is a tenth more than was measured; what the
// watcher of the catalog keeps is not in it.
func TestAnEntryTakesLittleMemory(t *testing.T) {
	const held, left = 650, 145
	if bytes := bytesOf(t, plan.Options{}); bytes > held {
		t.Errorf("an entry takes %d bytes, want %d at most", bytes, held)
	} else {
		t.Logf("an entry takes %d bytes", bytes)
	}
	if bytes := bytesOf(t, plan.Options{Keep: 1}); bytes > left {
		t.Errorf("an entry whose definition is left in the catalog takes %d bytes, want %d at most", bytes, left)
	} else {
		t.Logf("an entry whose definition is left in the catalog takes %d bytes", bytes)
	}
}

// bytesOf returns the bytes that a planner takes for an entry that is due in a year.
func bytesOf(t *testing.T, opts plan.Options) uint64 {
	const entries = 20_000
	next := fmt.Sprintf("0 9 1 %d *", time.Now().AddDate(0, -1, 0).Month())
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	ready := prepare(config)
	planner := plan.New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- planner.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	before := inUse()
	for i := range entries {
		spec, err := schedule.ParseSpec(next, "UTC", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		e := &schedule.Entry{
			ID: schedule.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), Name: fmt.Sprintf("report of customer %d", i),
			Task: "reports.tasks.send", Spec: spec, After: time.Now(),
			Row: &schedule.Row{
				Args: fmt.Sprintf(`["daily", %d]`, i), Kwargs: fmt.Sprintf(`{"schedule_id": %d, "from_date": "20250729", "to_date": "20250730"}`, i),
				Options: `{"queue": "reports", "expires": 1800, "soft_time_limit": 300}`,
			},
		}
		if err := ready(e); err != nil {
			t.Fatal(err)
		}
		if err := planner.Apply(ctx, []schedule.Change{{ID: e.ID, Entry: e}}); err != nil {
			t.Fatal(err)
		}
	}
	bytes := (inUse() - before) / entries
	runtime.KeepAlive(planner)
	return bytes
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
