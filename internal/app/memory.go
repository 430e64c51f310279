package app

import (
	"context"
	"runtime/debug"
	runtimes "runtime/metrics"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A collector bounds the garbage that may pile up beside what is in use: a
// quarter of it, from headroom to most, and a tenth at least. Go's own measure, as much garbage as there
// is in use, would double the memory of a large catalog, which is in use all the
// time and hardly changes; a quarter of a small one would be collected far too
// often. Go's measure is that of one smaller than headroom: what is collected often is collected soon. What is in use is known from the last collection.
//
// While a catalog is loaded it may be half of what is in use, up to a quarter more: what is
// in use grows then, and is the larger the later it is, so that the most that ever is hardly
// differs. A million entries took 44 collections before, of a third of the processor time.
//
// While many slots leave, a catalog of up to 100,000 may pile up as much as makes it roomy, and a large one
// a quarter whatever it is: a herd of 10,000 then goes without a collection, and one of 100,000
// takes 6.6 µs of processor time a message instead of 9.2, for 10 MB more at most.
type collector struct {
	mu      sync.Mutex
	percent int
	whole   bool // all was loaded once
	handed  int  // slots since the second began
	second  time.Time
	busy    *time.Timer // until it ends many slots leave; nil: they don't
}

// Bytes of garbage: headroom is no matter, and most is enough whatever is in use.
const (
	headroom = 24 << 20
	most     = 48 << 20
)

// While many slots leave, bytes of garbage that are no matter, and those of all that are in use with it.
const (
	herdroom = 64 << 20
	roomy    = 140 << 20
	least    = 4 << 20 // what Go takes a percentage of, whatever is in use (runtime.heapMinimum)
)

// So many slots within a second are many, and many may follow them for as long as calm.
const (
	many = 1_000
	calm = 10 * time.Second
)

// adjust is called as entries come.
func (c *collector) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adjustLocked()
}

func (c *collector) adjustLocked() {
	inUse := []runtimes.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimes.Read(inUse)
	percent := percentOf(inUse[0].Value.Uint64(), !c.whole, c.busy != nil)
	if diff := percent - c.percent; diff < 5 && diff > -5 {
		return // setting it stops the world
	}
	c.percent = percent
	debug.SetGCPercent(percent)
}

// percentOf is the garbage that may pile up, in percent of what is in use.
func percentOf(inUse uint64, loading, busy bool) int {
	inUse = max(inUse, 1)
	garbage := max(min(max(inUse/4, min(inUse, headroom)), most), inUse/10)
	if loading {
		garbage = max(garbage, min(inUse/2, most*5/4))
	}
	if busy {
		inUse = max(inUse, least)
		garbage = max(garbage, inUse/4, min(herdroom, roomy-min(inUse, roomy)))
	}
	return int(100 * garbage / inUse)
}

// leave is called with how many slots are handed over to be sent.
func (c *collector) leave(slots int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.second) >= time.Second {
		c.handed, c.second = 0, now
	}
	if c.handed += slots; c.handed < many {
		return
	}
	c.handed = 0
	if c.busy == nil {
		c.busy = time.AfterFunc(calm, c.rest)
	} else {
		c.busy.Reset(calm)
	}
	c.adjustLocked()
}

// rest ends a time in which many slots left.
func (c *collector) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = nil
	c.adjustLocked()
}

// loaded gives back what loading has left.
func (c *collector) loaded() {
	c.mu.Lock()
	c.whole = true
	c.mu.Unlock()
	debug.FreeOSMemory() // which learns what is in use
	c.adjust()
}

// A told planner tells a collector of what it hands over.
type told struct {
	dispatch.Planner
	garbage *collector
}

func (p told) Pull(ctx context.Context, most int) ([]schedule.Due, error) {
	dues, err := p.Planner.Pull(ctx, most)
	p.garbage.leave(len(dues))
	return dues, err
}
