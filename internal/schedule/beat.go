package schedule

import (
	"hash/fnv"
	"time"
)

// Beat returns how long it is from now to the node's next beat. What a node does over and over it
// does on its beats, which are every apart: a process that has nothing to do wakes up once for all of it, and to wake up
// costs more than most of what is done then. Nodes have beats of their own, so that they do not
// all ask their database at one moment. It is never more than a sixteenth beyond every: a timer may go off
// a moment before its beat, which is not to come twice.
func Beat(node string, now time.Time, every time.Duration) time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(node))
	phase := int64(sum.Sum64() % uint64(every))
	since := (now.UnixNano() - phase) % int64(every)
	if since < 0 {
		since += int64(every)
	}
	left := every - time.Duration(since)
	if left < every/16 {
		left += every
	}
	return left
}
