package celery

import (
	"strings"
	"testing"
	"time"
)

// The wanted ids are those of Python's uuid.uuid5, of the namespace
// uuid5(NAMESPACE_URL, "https://github.com/onebeat/onebeat#task-id").
func TestTaskIDIsForGood(t *testing.T) {
	slot := time.Date(2026, 11, 23, 8, 29, 37, 760389000, time.UTC)
	if got, want := TaskID("inst", "42", slot), "934bf68b-ad4f-591f-87be-c8ae85e199a6"; got != want {
		t.Errorf("TaskID = %s, want %s", got, want)
	}
	if got, want := TaskID("inst", "42", slot.In(time.FixedZone("", 3600))), "934bf68b-ad4f-591f-87be-c8ae85e199a6"; got != want {
		t.Errorf("TaskID in another zone = %s, want %s", got, want)
	}
	if got, want := TaskIDOfRequest("inst", "42", "r1"), "eb4e1de7-8690-5660-847d-a709b55bba49"; got != want {
		t.Errorf("TaskIDOfRequest = %s, want %s", got, want)
	}
	if TaskID("a", "bc", slot) == TaskID("ab", "c", slot) {
		t.Error("the parts of an id run into each other")
	}
}

// The table of the keys for queue "high" of a real worker (priority_steps 0, 3,
// 6, 9), and Python's wrap to the last step.
func TestRedisSuffix(t *testing.T) {
	for priority, want := range strings.Split(",,,_3,_3,_3,_6,_6,_6,_9", ",") {
		want = strings.Replace(want, "_", "\x06\x16", 1)
		if got := RedisSuffix(priority, nil, ""); got != want {
			t.Errorf("RedisSuffix(%d) = %q, want %q", priority, got, want)
		}
	}
	for _, tt := range []struct {
		priority int
		steps    []int
		sep      string
		want     string
	}{
		{-1, nil, "", ""},
		{200, nil, "", "\x06\x169"},
		{5, []int{0, 5}, ":", ":5"},
		{4, []int{0, 5}, ":", ""},
		{1, []int{3, 7}, ":", ":7"},
	} {
		if got := RedisSuffix(tt.priority, tt.steps, tt.sep); got != tt.want {
			t.Errorf("RedisSuffix(%d, %v, %q) = %q, want %q", tt.priority, tt.steps, tt.sep, got, tt.want)
		}
	}
}
