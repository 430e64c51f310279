package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A badRow is a row that cannot be used: the columns that spoil it, and a word
// of the reason that a person is given.
type badRow struct {
	name   string
	item   item
	reason string
}

// badRows are of every kind that a database lets in. SQLite holds JSON to nothing.
func badRows(kind string) []badRow {
	rows := []badRow{
		{"words for a crontab", item{"cron_expression": "every day at noon"}, "has five fields"},
		{"seconds in a crontab", item{"cron_expression": "0 * * * * *"}, "Celery knows no seconds"},
		{"an hour that is none", item{"cron_expression": "0 24 * * *"}, "24"},
		{"a date that never comes", item{"cron_expression": "0 0 30 2 *"}, "never"},
		{"a shorthand", item{"cron_expression": "@hourly"}, "0 * * * *"},
		{"an interval of nothing", item{"cron_expression": "@every 0s"}, "short"},
		{"an unknown zone", item{"timezone": "Mars/Olympus_Mons"}, "Mars/Olympus_Mons"},
		{"args that are no list", item{"args": `{"marker": 1}`}, "args"},
		{"kwargs that are no object", item{"kwargs": `["marker"]`}, "kwargs"},
		{"options that are no object", item{"options": `"priority"`}, "options"},
		{"a priority that is none", item{"options": `{"priority": "high"}`}, "priority"},
		{"no task", item{"task_name": ""}, "task_name"},
		{"a policy that is none", item{"misfire_policy": "perhaps"}, "misfire_policy"},
	}
	if kind == sqlite {
		rows = append(rows, badRow{"args that are no JSON", item{"args": `[1, 2`}, "args"},
			badRow{"kwargs that are no JSON", item{"kwargs": `{'a': 1}`}, "kwargs"})
	}
	return rows
}

// Rows that cannot be used are told of once, each with its reason, and disturb no
// other. Mended by plain SQL, they run; a good row that is spoilt stops alone.
func TestBadRowsDisturbNoOther(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, redis)
			grids := s.herd(t, 3)
			bad := badRows(kind)
			for _, b := range bad {
				row := item{"name": b.name, "cron_expression": "@every 1s"}
				for column, value := range b.item {
					row[column] = value
				}
				s.database.insert(t, row)
			}
			n := s.serve(t)
			s.awaitSent(t, "herd 0", time.Now().Truncate(time.Second).Add(2*time.Second), 10*time.Second)
			for _, b := range bad {
				told := setAside(t, n, b.name)
				if len(told) != 1 || told[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(told[0]["err"]), b.reason) {
					t.Errorf("%s: logged %v, want one ERROR that says %q", b.name, told, b.reason)
				}
				if strings.Contains(fmt.Sprint(told), "marker") {
					t.Errorf("%s: arguments of the task are logged: %v", b.name, told)
				}
			}
			s.shown(t, bad)

			s.database.exec(t, `UPDATE celery_beat_schedules SET cron_expression = '@every 1s', timezone = '', args = '[]', kwargs = '{}',
				options = '{}', task_name = 'probe.record', misfire_policy = 'once' WHERE name NOT LIKE 'herd%'`)
			mended := time.Now().Add(2 * time.Second)
			s.database.exec(t, "UPDATE celery_beat_schedules SET args = '{}' WHERE name = 'herd 1'")
			spoilt := time.Now().Add(2 * time.Second)
			last := spoilt.Truncate(time.Second).Add(2 * time.Second)
			s.awaitSent(t, bad[len(bad)-1].name, last, 10*time.Second)
			if told := setAside(t, n, "herd 1"); len(told) != 1 {
				t.Errorf("herd 1, spoilt while running, was logged %d times, want once: %v", len(told), told)
			}
			n.stop(t)

			arrivals := s.broker.arrivals(t)
			var others, late []arrival // of rows that were good all the time, and those that were mended
			for _, a := range arrivals {
				switch {
				case a.entry == "herd 1":
					if a.slot.After(spoilt) {
						t.Errorf("herd 1 was sent for %v, after it was spoilt", a.slot)
					}
				case strings.HasPrefix(a.entry, "herd"):
					others = append(others, a)
				default:
					late = append(late, a)
				}
			}
			delete(grids, "herd 1")
			wrong, doubled := faults(grids, window{s.database.firstStart(t), last}, others)
			again := map[string]grid{}
			for _, b := range bad {
				again[b.name] = every(time.Second)
			}
			wrongLate, doubledLate := faults(again, window{mended, last}, after(late, mended))
			report(t, append(append(wrong, wrongLate...), s.unrecorded(t, arrivals)...))
			if n := len(doubled) + len(doubledLate); n > 0 {
				t.Errorf("%d slots came twice", n)
			}
		})
	}
}

// after are the arrivals of slots after an instant.
func after(arrivals []arrival, at time.Time) (later []arrival) {
	for _, a := range arrivals {
		if a.slot.After(at) {
			later = append(later, a)
		}
	}
	return later
}

// setAside is what the node logged of a row that it could not use.
func setAside(t *testing.T, n *node, entry string) (told []line) {
	t.Helper()
	for _, l := range n.find(t, "entry set aside: its row cannot be used") {
		if l["entry"] == entry {
			told = append(told, l)
		}
	}
	return told
}

// shown fails the test unless `onebeat check` and `onebeat entries list` show
// each bad row with its reason.
func (s *site) shown(t *testing.T, bad []badRow) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	check, err := exec.CommandContext(ctx, binary, "check", "--config", s.config(t)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("onebeat check on bad rows: %v, want exit code 3, the answer no\n%s", err, check)
	}
	list := s.command(t, "entries", "list", "--json")
	for _, b := range bad {
		for verb, out := range map[string]string{"check": string(check), "entries list": list} {
			if !strings.Contains(out, b.name) || !strings.Contains(out, b.reason) {
				t.Errorf("onebeat %s does not show the row %q with the reason %q:\n%s", verb, b.name, b.reason, out)
			}
		}
	}
}

// A message that the broker does not take fails, once for each slot and with its
// reason, and holds up no other.
func TestAFailedPublishDisturbsNoOther(t *testing.T) {
	t.Parallel()
	for _, queues := range []string{redis, rabbitmq} {
		t.Run(queues, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, postgres, queues)
			grids := s.herd(t, 5)
			nowhere := s.broker.queue("nowhere") // no worker declares it
			s.database.insert(t, item{
				"name": "refused", "cron_expression": "@every 1s", "options": fmt.Sprintf(`{"queue": %q}`, nowhere),
			})
			if queues == redis { // there, every list can be pushed to; a key that is none can't
				set := s.broker.redis.B().Set().Key(s.broker.own + nowhere).Value("no list").Build()
				if err := s.broker.redis.Do(t.Context(), set).Error(); err != nil {
					t.Fatal(err)
				}
			}
			n := s.serve(t)
			last := time.Now().Truncate(time.Second).Add(4 * time.Second)
			s.awaitSent(t, "herd 0", last, 10*time.Second)
			n.stop(t)
			s.check(t, grids, window{s.database.firstStart(t), last}, s.broker.arrivals(t))
			grids["refused"] = every(time.Second)
			report(t, s.accounted(t, grids, window{s.database.firstStart(t), last}))
			for _, r := range s.database.ledger(t) {
				if r.entry == "refused" && (r.state != "failed" || r.reason == "") {
					t.Errorf("slot %v of the entry that is refused ended as %q for the reason %q, want failed and why", r.slot.Time, r.state, r.reason)
				}
			}
			// Each second has a refusal, which would hold all of its slots up. A busy machine does so with some.
			if late := lateness(s.database.ledger(t)); percentile(late, 50) > time.Second {
				t.Errorf("the others were late by %v", late)
			}
		})
	}
}
