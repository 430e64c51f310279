package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Who forgets to stop the other scheduler has every task sent twice, and nothing else tells of it.
func TestCheckTellsThatAnotherSchedulerRunsTheEntriesToo(t *testing.T) {
	bareEnvironment(t)
	database := filepath.Join(t.TempDir(), "twice.db")
	t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+database)
	t.Setenv("ONEBEAT_BROKER", "redis://"+miniredis.RunT(t).Addr()+"/0")
	for _, args := range [][]string{{"migrate"}, {"entries", "add", "minutely", "--task", "t", "--spec", "* * * * *"}, {"entries", "add", "interval", "--task", "t", "--spec", "@every 60s"}} {
		if code, _, stderr := onebeat(t, args...); code != 0 {
			t.Fatal(stderr)
		}
	}
	const (
		slot = "(unixepoch() / 60 - 2) * 60"
		ran  = "INSERT INTO onebeat_runs (entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered) SELECT id, name, 't', (" +
			slot + ") * 1000000, NULL, 1, 'sent', '', 'i', 'celery', '', 'n1', 3, (" + slot + ") * 1000000 + 2000, 0 FROM celery_beat_schedules"
	)
	last := func(instant string) {
		t.Helper()
		execSQL(t, "sqlite", database, "UPDATE celery_beat_schedules SET last_run_at = strftime('%Y-%m-%d %H:%M:%f', "+instant+", 'unixepoch')")
	}
	const node = "INSERT INTO onebeat_nodes SELECT 'a', 1, 1, unixepoch('subsec') * 1000000 + 600000000"
	execSQL(t, "sqlite", database, node)
	latest := regexp.MustCompile(`(?m)^WRONG another scheduler: last runs were written that are no slots, .*, the latest of them (1m5\d|2m\d+)s ago: .*: stop it\. Once it is stopped, this is not told any more after (7m\d+|8m\d)s$`)
	for _, tt := range []struct {
		name  string
		set   func()
		rival bool
	}{
		{"another's before onebeat's first", func() { last(slot + " + 7.25") }, false},
		{"onebeat's own", func() { execSQL(t, "sqlite", database, ran); last(slot) }, false},
		{"another's after it", func() { last(slot + " + 7.25") }, true},
		{"another's to the second", func() { last(slot + " + 7") }, true},
		{"onebeat's own, in a column of whole seconds", func() {
			execSQL(t, "sqlite", database, strings.ReplaceAll(ran, ") * 1000000", ") * 1000000 + 9700000"))
			last(slot + " + 10")
		}, false},
		{"another's, where no node runs", func() { last(slot + " + 7.25"); execSQL(t, "sqlite", database, "DELETE FROM onebeat_nodes") }, false},
		{"another's, long ago", func() { last(slot + " - 7200.75"); execSQL(t, "sqlite", database, node) }, false},
		{"another's from before it was taken over", func() {
			last(slot + " + 7.25")
			execSQL(t, "sqlite", database, `INSERT INTO onebeat_meta (key, value) VALUES ('take_over', strftime('%Y-%m-%dT%H:%M:%SZ')) ON CONFLICT (key) DO UPDATE SET value = excluded.value`)
		}, false},
	} {
		tt.set()
		code, stdout, _ := onebeat(t, "check")
		told := latest.MatchString(stdout) && strings.Contains(stdout, " ago: minutely at ") && !strings.Contains(stdout, "interval at ")
		if told != tt.rival || (code == exitNo) != tt.rival {
			t.Errorf("%s: check tells of another scheduler: %v, want %v; code %d\n%s", tt.name, told, tt.rival, code, stdout)
		}
	}
}

// Who moves from RedBeat asks before onebeat has a database: that its beat runs the entries is no fault.
func TestCheckFindsNoFaultInAnotherSchedulersRunsBeforeTheFirstStart(t *testing.T) {
	bareEnvironment(t)
	t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+filepath.Join(t.TempDir(), "none.db"))
	redis := miniredis.RunT(t)
	t.Setenv("ONEBEAT_BROKER", "redis://"+redis.Addr()+"/0")
	t.Setenv("ONEBEAT_CATALOG", "redbeat")
	ran := time.Now().UTC().Add(-3 * time.Minute)
	redis.HSet("redbeat:minutely", "definition", `{"name": "minutely", "task": "t", "args": [], "kwargs": {}, "options": {}, "enabled": true, "schedule": {"__type__": "crontab", `+
		`"minute": "*", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}}`)
	redis.HSet("redbeat:minutely", "meta", fmt.Sprintf(`{"last_run_at": {"__type__": "datetime", "year": %d, "month": %d, "day": %d, "hour": %d, "minute": %d, "second": 7, "microsecond": 250000}, "total_run_count": 3}`,
		ran.Year(), ran.Month(), ran.Day(), ran.Hour(), ran.Minute()))
	if _, err := redis.ZAdd("redbeat::schedule", float64(ran.Unix()+60), "redbeat:minutely"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := onebeat(t, "check"); code != 0 || !strings.Contains(stdout, "rows: 1 in all, 0 set aside") {
		t.Errorf("check = %d, want 0, with one row:\n%s", code, stdout)
	}
}
