package schedule_test

import (
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What begins at different moments comes to one beat, and stays on it.
func TestBeatsOfANodeComeTogether(t *testing.T) {
	const every = 800 * time.Millisecond
	begin := time.Date(2026, 11, 26, 5, 0, 0, 0, time.UTC)
	next := func(node string, at time.Time) time.Time { return at.Add(schedule.Beat(node, at, every)) }
	first := next("n1", begin)
	for after := time.Duration(0); after < every; after += every / 97 {
		at := next("n1", begin.Add(after))
		if wait := at.Sub(begin.Add(after)); wait < every/16 || wait > every+every/16 {
			t.Errorf("%v after the begin the next beat is in %v", after, wait)
		}
		if at.Sub(first)%every != 0 {
			t.Errorf("%v after the begin the next beat is at %v, apart from %v", after, at, first)
		}
		if again := next("n1", at); again.Sub(at) != every {
			t.Errorf("from beat to beat it is %v, want %v", again.Sub(at), every)
		}
		if early := at.Add(-time.Millisecond); next("n1", early).Sub(at) != every {
			t.Errorf("a timer that went off a millisecond early comes to the same beat again")
		}
	}
	if next("n2", begin) == first {
		t.Error("two nodes have the same beats")
	}
	if before := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC); schedule.Beat("n1", before, every) <= 0 {
		t.Error("a clock before 1970 gives no beat to wait for")
	}
}
