package shadow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// of is an entry of the task t with these arguments.
func of(t *testing.T, name, text, args string) Entry {
	t.Helper()
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	template, err := config.Template(celery.Task{Name: "t", Entry: name, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := schedule.ParseSpec(text, "UTC", at(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return Entry{ID: schedule.ID(name), Name: name, Text: text, Spec: spec, Task: "t", Template: template}
}

// sent is a task-sent event of the task t, heard at once.
func sent(t *testing.T, id, sender, args string, when time.Time) celery.Sighting {
	t.Helper()
	return event(t, "task-sent", id, sender, args, when)
}

func event(t *testing.T, kind, id, sender, args string, when time.Time) celery.Sighting {
	t.Helper()
	all := celery.Sightings(celery.Delivery{Event: true, Body: fmt.Appendf(nil,
		`{"type": %q, "uuid": %q, "hostname": %q, "name": "t", "args": %q, "kwargs": "{}", "exchange": "", "routing_key": "celery", "timestamp": 0}`, kind, id, sender, args)}, when)
	if len(all) != 1 {
		t.Fatalf("%d sightings", len(all))
	}
	return all[0]
}

// looking is a judge that has seen the entries at the start and listens since.
func looking(entries ...Entry) *Judge {
	j := &Judge{Patience: 4 * time.Minute}
	j.See(at(0, 30), entries)
	j.Listening(true, at(0, 30))
	return j
}

func TestHear(t *testing.T) {
	type heard struct {
		id, sender, args string
		at               time.Time
	}
	const beat = "gen1@beat"
	for _, tt := range []struct {
		name                              string
		text                              string
		heard                             []heard
		end                               time.Time
		both, onlyBeat, onlyOnebeat, open int
		strays                            int
		remark                            string
	}{
		{"each minute", "* * * * *", []heard{{"a", beat, "[1]", at(1, 0.1)}, {"b", beat, "(1,)", at(2, 0.2)}}, at(2, 30), 2, 0, 0, 0, 0, ""},
		{"a slot that is not sent", "* * * * *", []heard{{"a", beat, "[1]", at(1, 0.1)}, {"b", beat, "[1]", at(3, 0.2)}}, at(4, 10), 2, 0, 1, 1, 0, "did not send it"},
		{"a slot that is sent twice", "* * * * *", []heard{{"a", beat, "[1]", at(1, 0.1)}, {"b", beat, "[1]", at(1, 5)}}, at(1, 30), 1, 1, 0, 0, 0, "docs/differences.md"},
		{"a late one of before", "* * * * *", []heard{{"a", beat, "[1]", at(0, 31)}, {"b", beat, "[1]", at(1, 0.1)}}, at(1, 30), 1, 0, 0, 0, 0, ""},
		{"late by half a minute, each", "* * * * *", []heard{{"a", beat, "[1]", at(1, 14)}, {"b", beat, "[1]", at(2, 40)}}, at(2, 50), 2, 0, 0, 0, 0, ""},
		{"an interval of another phase that drifts", "@every 30s", []heard{
			{"a", beat, "[1]", at(0, 41)}, {"b", beat, "[1]", at(1, 11.2)}, {"c", beat, "[1]", at(1, 41.4)}, {"d", beat, "[1]", at(2, 11.6)},
		}, at(2, 20), 3, 0, 0, 0, 0, ""}, // the first is of the slot at 00:30
		{"an interval of a phase that drifts past the middle of two slots", "@every 30s", []heard{
			{"a", beat, "[1]", at(1, 14.9)}, {"b", beat, "[1]", at(1, 45.1)}, {"c", beat, "[1]", at(2, 15.3)}, {"d", beat, "[1]", at(2, 45.4)},
		}, at(2, 50), 4, 0, 0, 0, 0, ""},
		{"an interval that falls behind by a slot", "@every 30s", []heard{
			{"a", beat, "[1]", at(1, 10)}, {"b", beat, "[1]", at(1, 50)}, {"c", beat, "[1]", at(2, 30)}, {"d", beat, "[1]", at(3, 10)}, {"e", beat, "[1]", at(3, 40)},
		}, at(3, 50), 5, 0, 1, 0, 0, "drifts"},
		{"an application's own, at any time", "* * * * *", []heard{{"a", beat, "[1]", at(1, 0.1)}, {"b", "gen2@web", "[1]", at(1, 20)}, {"c", "gen2@web", "[5]", at(1, 40)}}, at(1, 50), 1, 0, 0, 0, 2, ""},
		{"other arguments, with the slot", "* * * * *", []heard{{"a", beat, "[2]", at(1, 0.1)}, {"b", beat, "[2]", at(2, 0.1)}}, at(2, 30), 2, 0, 0, 0, 0, "args differs"},
		{"nothing is heard", "* * * * *", nil, at(6, 0), 0, 0, 0, 6, 0, "nothing tells what the other sends"},
	} {
		j := looking(of(t, "one", tt.text, "[1]"))
		for _, h := range tt.heard {
			j.Hear(sent(t, h.id, h.sender, h.args, h.at))
			j.Hear(event(t, "task-received", h.id, "celery@w", h.args, h.at.Add(time.Second))) // the same message
		}
		f := j.Findings(tt.end)[0]
		if f.Both != tt.both || f.OnlyBeat != tt.onlyBeat || f.OnlyOnebeat != tt.onlyOnebeat || f.Open != tt.open || j.Heard().Strays != tt.strays {
			t.Errorf("%s: both %d, only beat %d, only onebeat %d, open %d, strays %d; want %d, %d, %d, %d, %d",
				tt.name, f.Both, f.OnlyBeat, f.OnlyOnebeat, f.Open, j.Heard().Strays, tt.both, tt.onlyBeat, tt.onlyOnebeat, tt.open, tt.strays)
		}
		if (tt.remark == "") != (f.Remark == "") || !strings.Contains(f.Remark, tt.remark) {
			t.Errorf("%s: the remark is %q, want %q", tt.name, f.Remark, tt.remark)
		}
		if want := []string{"task-received", "task-sent"}; tt.heard != nil && !slices.Equal(f.Ways, want) {
			t.Errorf("%s: seen by %v, want %v", tt.name, f.Ways, want)
		}
	}
}

// What an entry sends out of its time is not taken for another's that is disabled.
func TestADisabledEntryTakesNoMessageOfAnother(t *testing.T) {
	off, on := of(t, "a copy", "0 9 * * *", "[1]"), of(t, "the one", "* * * * *", "[1]")
	off.Spec, off.Off = nil, schedule.ReasonDisabled
	j := looking(off, on)
	j.Hear(sent(t, "a", "gen1@beat", "[1]", at(1, 0.1)))
	j.Hear(sent(t, "b", "gen1@beat", "[1]", at(1, 5)))
	found := j.Findings(at(1, 30))
	if f := found[0]; f.OnlyBeat != 0 {
		t.Errorf("%s: only beat %d, want 0", f.Name, f.OnlyBeat)
	}
	if f := found[1]; f.Both != 1 || f.OnlyBeat != 1 {
		t.Errorf("%s: both %d, only beat %d, want 1 of each", f.Name, f.Both, f.OnlyBeat)
	}
	if f := looked(looking(off), sent(t, "c", "gen1@beat", "[1]", at(1, 5))); f.OnlyBeat != 1 {
		t.Errorf("only beat %d of an entry that is disabled, and sent all the same, want 1", f.OnlyBeat)
	}
}

func looked(j *Judge, s celery.Sighting) Finding {
	j.Hear(s)
	return j.Findings(s.At.Add(time.Minute))[0]
}

// Of entries of one task a message is that one's which has its arguments, of such as have the
// same that one's whose slot it comes with, and of any the one's that it names.
func TestWhoseMessageItIs(t *testing.T) {
	j := looking(of(t, "first", "0 * * * *", "[1]"), of(t, "second", "* * * * *", "[2]"), of(t, "odd", "1-59/2 * * * *", "[3]"), of(t, "even", "*/2 * * * *", "[3]"))
	j.Hear(sent(t, "a", "gen1@beat", "[2]", at(1, 0.1)))
	j.Hear(sent(t, "b", "gen1@beat", "[3]", at(1, 0.1)))
	j.Hear(sent(t, "c", "gen1@beat", "[3]", at(2, 0.1)))
	j.Hear(sent(t, "d", "gen1@beat", "[2]", at(2, 0.1)))
	named := sent(t, "e", "gen1@beat", "[2]", at(3, 0.1))
	named.Entry = "odd"
	j.Hear(named)
	foreign := sent(t, "f", "gen1@beat", "[2]", at(3, 0.1))
	foreign.Entry = "not here"
	j.Hear(foreign)
	child := sent(t, "g", "gen1@beat", "[2]", at(3, 0.1))
	child.Child = true
	j.Hear(child)
	got := map[string]int{}
	for _, f := range j.Findings(at(3, 5)) {
		got[f.Name] = f.Both
		if f.OnlyBeat != 0 {
			t.Errorf("%s: %d only by beat", f.Name, f.OnlyBeat)
		}
	}
	if got["first"] != 0 || got["second"] != 2 || got["odd"] != 2 || got["even"] != 1 {
		t.Errorf("the messages are %v", got)
	}
	if h := j.Heard(); h.Strays != 1 || h.Sent != 7 || !slices.Equal(h.Senders, []string{"gen1@beat"}) {
		t.Errorf("heard %+v", h)
	}
}

// Slots that come while nothing is heard are judged by nothing, and an edit begins anew.
func TestGapsAndEdits(t *testing.T) {
	e := of(t, "one", "* * * * *", "[1]")
	j := looking(e)
	j.Hear(sent(t, "a", "gen1@beat", "[1]", at(1, 0.1)))
	j.Listening(false, at(1, 30))
	j.See(at(3, 30), []Entry{e})
	j.Listening(true, at(4, 30))
	j.Hear(sent(t, "b", "gen1@beat", "[1]", at(5, 0.1)))
	if f := j.Findings(at(5, 30))[0]; f.Both != 2 || f.OnlyOnebeat != 0 || f.Open != 0 {
		t.Errorf("with a gap: %+v", f)
	}
	edited := of(t, "one", "*/5 * * * *", "[1]")
	j.See(at(6, 30), []Entry{edited})
	j.Hear(sent(t, "c", "gen1@beat", "[1]", at(10, 0.1)))
	if f := j.Findings(at(10, 30))[0]; f.Both != 3 || f.OnlyOnebeat != 1 { // 09:06 was not sent
		t.Errorf("after an edit: %+v", f)
	}
}

// An entry whose last run moves while only others' messages are heard was not sent, perhaps.
func TestLastRunWithoutAMessage(t *testing.T) {
	silent := of(t, "silent", "* * * * *", "[1]")
	silent.Keeps, silent.Last, silent.Count = true, at(0, 0.1), 7
	j := looking(silent, of(t, "heard", "* * * * *", "[2]"))
	j.Hear(sent(t, "a", "gen1@beat", "[2]", at(1, 0.1)))
	silent.Last, silent.Count = at(1, 0.1), 8
	j.See(at(1, 1), []Entry{silent, of(t, "heard", "* * * * *", "[2]")})
	for _, f := range j.Findings(at(1, 30)) {
		if f.Name == "silent" && (f.Both != 1 || !slices.Equal(f.Ways, []string{WayLastRun}) || !strings.Contains(f.Remark, "no message of it was heard")) {
			t.Errorf("silent is %+v", f)
		}
	}
}

// What is kept is bounded, however much is heard and however long nothing is.
func TestMemoryIsBounded(t *testing.T) {
	j := looking(of(t, "one", "@every 1s", "[1]"))
	for i := range seenMost + 1000 {
		j.Hear(sent(t, fmt.Sprint(i), fmt.Sprint("gen", i), "[9]", at(0, 31)))
	}
	if len(j.seen) > seenMost || len(j.order) > seenMost || len(j.senders) > sendersMost {
		t.Errorf("%d messages in order %d, and %d senders are kept", len(j.seen), len(j.order), len(j.senders))
	}
	j.See(at(24*60, 0), []Entry{of(t, "one", "@every 1s", "[1]")})
	if n := len(j.entries["one"].ear.open); n > openMost {
		t.Errorf("%d slots are open", n)
	}
}

// Where only what waits in a queue is seen, what is not seen may have been sent: the last run
// counts where it knows of more, and else such slots stay open. Differences count all the same.
func TestMessagesThatWait(t *testing.T) {
	e := of(t, "one", "* * * * *", "[1]")
	waiting := func(id, args string, when time.Time) celery.Sighting {
		t.Helper()
		all := celery.Sightings(celery.Delivery{
			Waiting: true, RoutingKey: "celery", ContentType: "application/json", ContentEncoding: "utf-8", Properties: map[string]any{"delivery_mode": json.Number("2")},
			Headers: map[string]any{"task": "t", "id": id, "argsrepr": args, "kwargsrepr": "{}", "timelimit": []any{nil, nil}, "retries": json.Number("0")},
			Body:    []byte(`[` + args + `, {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`),
		}, when)
		if len(all) != 1 || all[0].Way != celery.WayQueue {
			t.Fatalf("sightings are %+v", all)
		}
		return all[0]
	}
	j := looking(e)
	j.Hear(waiting("a", "[1]", at(1, 0.1)))
	if f := j.Findings(at(6, 30))[0]; f.Both != 1 || f.OnlyOnebeat != 0 || f.Open != 5 || !f.Agrees() || !slices.Equal(f.Ways, []string{"queue"}) || !strings.Contains(f.Remark, "a free worker") {
		t.Errorf("without a last run: %+v", f)
	}

	e.Keeps, e.Last, e.Count = true, at(0, 0.1), 7
	j = looking(e)
	j.Hear(waiting("a", "[1]", at(1, 0.1)))
	e.Last, e.Count = at(6, 0.1), 13
	j.See(at(6, 30), []Entry{e})
	if f := j.Findings(at(6, 31))[0]; f.Both != 6 || f.OnlyOnebeat != 0 || !slices.Equal(f.Ways, []string{"queue", WayLastRun}) || f.Remark != "" {
		t.Errorf("with a last run: %+v", f)
	}

	j.Hear(sent(t, "b", "gen1@beat", "[1]", at(7, 0.1))) // now each is heard
	if f := j.Findings(at(9, 30))[0]; f.OnlyOnebeat != 2 || f.Open != 5 || slices.Contains(f.Ways, WayLastRun) {
		t.Errorf("with events: %+v", f)
	}
}
