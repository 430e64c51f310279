package redbeat

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/onebeat/onebeat/internal/store"
)

// A node that was cut off from Redis tells of what it ended when another has gone on: the
// later run stays the last one, and the entry is not due again.
func TestALaterRunStaysTheLast(t *testing.T) {
	redis := miniredis.RunT(t)
	redis.HSet(DefaultPrefix+"tick", "definition", `{"name": "tick", "task": "t", "schedule": {"__type__": "interval", "every": 60}}`)
	redis.ZAdd(DefaultPrefix+":schedule", 0, DefaultPrefix+"tick")
	r, err := New("redis://"+redis.Addr()+"/0", Options{Prefix: DefaultPrefix, Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	r.option.ForceSingleClient = true // miniredis answers as a cluster does too
	t.Cleanup(r.Close)
	if _, err := r.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := func() (at time.Time, total int) {
		t.Helper()
		var meta struct {
			Last  datetime `json:"last_run_at"`
			Total int      `json:"total_run_count"`
		}
		if err := json.Unmarshal([]byte(redis.HGet(DefaultPrefix+"tick", "meta")), &meta); err != nil {
			t.Fatal(err)
		}
		d := meta.Last
		return time.Date(d.Year, time.Month(d.Month), d.Day, d.Hour, d.Minute, d.Second, d.Microsecond*1000, time.UTC), meta.Total
	}
	before, after := time.Date(2029, 12, 31, 23, 59, 0, 0, time.UTC), time.Date(2030, 1, 1, 0, 1, 0, 0, time.UTC)
	for _, step := range []struct {
		told, want time.Time
		total      int
	}{{before, before, 1}, {after, after, 2}, {before, after, 2}, {after.Add(time.Minute), after.Add(time.Minute), 3}} {
		if err := r.Record(t.Context(), []store.End{{Key: "tick", Last: step.told, Count: 1}}); err != nil {
			t.Fatal(err)
		}
		if at, total := last(); !at.Equal(step.want) || total != step.total {
			t.Errorf("told of %v: RedBeat has %v, %d runs; want %v, %d", step.told, at, total, step.want, step.total)
		}
		if score, err := redis.ZScore(DefaultPrefix+":schedule", DefaultPrefix+"tick"); err != nil || int64(score) != step.want.Add(time.Minute).Unix() {
			t.Errorf("told of %v: the entry is due at %v (%v), want a minute after %v", step.told, int64(score), err, step.want)
		}
	}
}

// A key that is no entry's hash is set aside alone.
func TestAKeyOfAnotherTypeStopsNoOther(t *testing.T) {
	redis := miniredis.RunT(t)
	const schedule = DefaultPrefix + ":schedule"
	redis.HSet(DefaultPrefix+"tick", "definition", `{"name": "tick", "task": "t", "schedule": 60}`)
	if err := redis.Set(DefaultPrefix+"odd", "x"); err != nil {
		t.Fatal(err)
	}
	for score, name := range []string{"odd", "tick", "gone"} {
		redis.ZAdd(schedule, float64(score), DefaultPrefix+name)
	}
	r, err := New("redis://"+redis.Addr()+"/0", Options{Prefix: DefaultPrefix, Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	r.option.ForceSingleClient = true // miniredis answers as a cluster does too
	t.Cleanup(r.Close)
	entries, err := r.Read(t.Context())
	if err != nil || len(entries) != 2 {
		t.Fatalf("Read = %+v, %v, want the two that are there", entries, err)
	}
	if odd, tick := entries[0], entries[1]; !strings.Contains(odd.Problem, "another type") || tick.Key != "tick" || tick.Problem != "" {
		t.Errorf("Read = %+v, want one set aside and the other as it is", entries)
	}
}
