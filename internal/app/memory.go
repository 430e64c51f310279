package app

import (
	"runtime/debug"
	runtimes "runtime/metrics"
	"sync"
)

// A collector bounds the garbage that may pile up beside what is in use: a
// quarter of it, from headroom to most, and a tenth at least. Go's own measure, as much garbage as there
// is in use, would double the memory of a large catalog, which is in use all the
// time and hardly changes; a quarter of a small one would be collected far too
// often. Go's measure is that of one smaller than headroom: what is collected often is collected soon. What is in use is known from the last collection.
//
// Measured with 100,000 entries: a fourth less memory, and 2 µs more of processor
// time for a message of a herd.
//
// While a catalog is loaded it may be half of what is in use, up to a quarter more: what is
// in use grows then, and is the larger the later it is, so that the most that ever is hardly
// differs. A million entries took 44 collections before, of a third of the processor time.
type collector struct {
	mu      sync.Mutex
	percent int
	whole   bool // all was loaded once
}

// Bytes of garbage: headroom is no matter, and most is enough whatever is in use.
const (
	headroom = 24 << 20
	most     = 48 << 20
)

// adjust is called as entries come.
func (c *collector) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	inUse := []runtimes.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimes.Read(inUse)
	percent := percentOf(inUse[0].Value.Uint64(), !c.whole)
	if diff := percent - c.percent; diff < 5 && diff > -5 {
		return // setting it stops the world
	}
	c.percent = percent
	debug.SetGCPercent(percent)
}

// percentOf is the garbage that may pile up, in percent of what is in use.
func percentOf(inUse uint64, loading bool) int {
	inUse = max(inUse, 1)
	garbage := max(min(max(inUse/4, min(inUse, headroom)), most), inUse/10)
	if loading {
		garbage = max(garbage, min(inUse/2, most*5/4))
	}
	return int(100 * garbage / inUse)
}

// loaded gives back what loading has left.
func (c *collector) loaded() {
	c.mu.Lock()
	c.whole = true
	c.mu.Unlock()
	debug.FreeOSMemory() // which learns what is in use
	c.adjust()
}
