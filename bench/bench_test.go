package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// short is what the tests measure with: bounds hold on a busy machine, for they
// are ratios, and processor time, with much room.
func short(t *testing.T) *bench {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		onebeat: filepath.Join(t.TempDir(), "onebeat"), postgres: harness.Env(t, "ONEBEAT_TEST_POSTGRES"),
		redis: harness.Env(t, "ONEBEAT_TEST_REDIS"), python: harness.Env(t, "ONEBEAT_TEST_PYTHON"),
	}
	build := exec.Command("go", "build", "-trimpath", "-o", b.onebeat, "./cmd/onebeat") // without the race detector
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build onebeat: %v\n%s", err, out)
	}
	return b
}

func TestAHerdLeavesFasterThanBeats(t *testing.T) {
	const entries = 2000
	b := short(t)
	ours, err := b.herd(t.Context(), line{"postgres", "redis"}, entries, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	beats, err := b.beat(t.Context(), entries, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	printHerds(&table, []Herd{ours, beats})
	t.Logf("\n%s", &table)
	if ours.Sent != entries {
		t.Errorf("%d of %d messages were seen", ours.Sent, entries)
	}
	if ours.First < 0 {
		t.Errorf("the first message left %v before its slot", -ours.First)
	}
	if ratio := ours.Rate / beats.Rate; ratio < 5 {
		t.Errorf("onebeat sent %.1f times as fast as beat, want 5 times at least", ratio)
	}
	if most := 40 * time.Microsecond; ours.CPU > most {
		t.Errorf("a message took %v of processor time, want %v at most", ours.CPU, most)
	}
	if ours.CPU*20 > beats.CPU {
		t.Errorf("a message took %v of processor time, and beat's %v: want a twentieth at most", ours.CPU, beats.CPU)
	}
	if most := int64(100 << 20); ours.Peak > most {
		t.Errorf("%d entries took %d MB, want %d MB at most", entries, ours.Peak>>20, most>>20)
	}
}

func TestIdlingIsNeverEarly(t *testing.T) {
	idle, err := short(t).idle(t.Context(), line{"postgres", "redis"}, 3*time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	printIdle(&text, idle)
	t.Log(&text)
	if idle.Sent < 2*probes {
		t.Errorf("%d messages in 3 s, want %d at least", idle.Sent, 2*probes)
	}
	if most := 200 * time.Millisecond; idle.P50 > most {
		t.Errorf("half of the messages were later than %v, want %v at most", idle.P50, most)
	}
}
