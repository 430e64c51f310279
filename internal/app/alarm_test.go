package app

import (
	"context"
	"runtime"
	"testing"
	"time"
)

func TestAnAlarmGoesOffInTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // it is the runtime's own there
	}
	a := newAlarm()
	if a == nil {
		t.Fatal("the system has no alarm to give")
	}
	defer a.close()
	for _, length := range []time.Duration{0, 50 * time.Microsecond, 5 * time.Millisecond, 30 * time.Millisecond} {
		began := time.Now()
		if !a.sleep(t.Context(), length) {
			t.Errorf("of %v it did not sleep all", length)
		}
		if took := time.Since(began); took < length || took > length+10*time.Second {
			t.Errorf("%v took %v", length, took)
		}
	}
}

// A lost lease must not wait for a slot.
func TestAnAlarmLetsGoAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	a := newAlarm()
	defer a.close()
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	began := time.Now()
	for _, when := range []string{"while it slept", "before it slept"} {
		if a.sleep(ended, time.Hour) {
			t.Errorf("its context ended %s, and it slept an hour", when)
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it was let go of after %v", took)
	}
	if !a.sleep(t.Context(), time.Millisecond) { // what rang before is over
		t.Error("it did not sleep again")
	}
}
