package celeryapp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/celeryapp"
)

// told is a worker that answered with these members of conf, tasks and queues.
func told(name, conf, tasks, queues string) celeryapp.Worker {
	return celeryapp.Worker{Name: name, Conf: json.RawMessage("{" + conf + "}"), Registered: json.RawMessage("[" + tasks + "]"), Queues: json.RawMessage("[" + queues + "]")}
}

// What one worker tells of a schedule is the spec of what the code has.
func TestSchedulesAsWorkersTellThem(t *testing.T) {
	for _, tt := range []struct{ schedule, spec, remark, refused string }{
		{`"<crontab: 0 2, 3 * 1-6 mon-fri (m/h/dM/MY/d)>"`, "0 2,3 * 1-6 mon-fri", "", ""},
		{`"<crontab: 0 2, 3 mon-fri * 1-6 (m/h/d/dM/MY)>"`, "0 2,3 * 1-6 mon-fri", "", ""}, // 5.2
		{`"<crontab: [30, 0] {8, 20} * * * (m/h/dM/MY/d)>"`, "0,30 8,20 * * *", "", ""},
		{`"<crontab: * * range(1, 5) * * (m/h/dM/MY/d)>"`, "", "", "its crontab has fields"},
		{`30`, "@every 30s", "", ""},
		{`1.5`, "@every 1500000us", "", ""},
		{`"1:00:00"`, "@every 3600s", "", ""},
		{`"1 day, 0:00:00"`, "@every 86400s", "", ""},
		{`"2 days, 0:00:05.500000"`, "@every 172805500000us", "", ""},
		{`"<freq: 12.00 seconds>"`, "@every 12s", "whether it is relative is not told", ""},
		{`"<freq: 1.50 seconds>"`, "@every 1500000us", "whether it is relative is not told", ""},
		{`"<freq: 1.67 minutes>"`, "@every 100s", "its length is told rounded (1.67 minutes): compare it with the code", ""},
		{`"<freq: 1.50 hours>"`, "@every 5400s", "its length is told rounded (1.50 hours): compare it with the code", ""},
		{`"<freq: 1.39 hours>"`, "", "", "its length is told rounded (1.39 hours)"},
		{`"<freq: now>"`, "", "", "that is no crontab, interval or solar event"},
		{`0.5`, "", "", "an interval of 0.5s is shorter than a second"},
		{`"<solar: sunset at latitude 35.6895, longitude: -139.5>"`, "@solar sunset 35.6895 -139.5", "", ""},
		{`"<proj.Own object at 0x7f00>"`, "", "", "that is no crontab, interval or solar event"},
		{`"rrule(3)"`, "", "", "that is no crontab, interval or solar event"},
	} {
		app, err := celeryapp.FromWorkers([]celeryapp.Worker{told("a", `"beat_schedule": {"one": {"task": "t", "schedule": `+tt.schedule+`}}`, "", "")})
		if err != nil {
			t.Fatalf("%s: %v", tt.schedule, err)
		}
		var spec, remarks, refused string
		if len(app.Entries) == 1 {
			spec, remarks = app.Entries[0].Spec, strings.Join(app.Entries[0].Remarks, "; ")
		}
		if len(app.Refused) == 1 {
			refused = app.Refused[0].Reason
		}
		if spec != tt.spec || !strings.Contains(remarks, tt.remark) || (tt.remark == "") != (remarks == "") || !strings.Contains(refused, tt.refused) || (tt.refused == "") != (refused == "") {
			t.Errorf("%s is %q, with the remarks %q, refused for %q; want %q, %q, %q", tt.schedule, spec, remarks, refused, tt.spec, tt.remark, tt.refused)
		}
	}
}

// What workers hide, tell no data of, or disagree about is refused by its name, and all else
// is carried.
func TestWhatCannotBeLearntIsNamed(t *testing.T) {
	const queue = `{"name": "celery", "routing_key": "all.of.it", "exchange": {"name": "celery", "type": "topic"}}`
	const masked = `"task_default_routing_key": "********", "task_default_exchange_type": "topic"`
	for _, tt := range []struct {
		name     string
		workers  []celeryapp.Worker
		settings string
		refused  map[string]string // the reason has the words
	}{
		{
			"the routing key that Celery hides, from who reads the queue",
			[]celeryapp.Worker{told("a", masked, "", queue)},
			`{"task_default_exchange_type":"topic","task_default_routing_key":"all.of.it"}`, nil,
		},
		{
			"the routing key that Celery hides, and nobody reads the queue",
			[]celeryapp.Worker{told("a", masked, "", "")},
			`{"task_default_exchange_type":"topic"}`,
			map[string]string{"task_default_routing_key": "no worker that answered reads the default queue"},
		},
		{
			"a route by a routing key",
			[]celeryapp.Worker{told("a", `"task_routes": {"b.*": "low", "a.*": {"exchange": "x", "routing_key": "********"}}`, "", "")},
			`{}`,
			map[string]string{"task_routes": "a.*: hidden by Celery"},
		},
		{
			"a task with an API in its name",
			[]celeryapp.Worker{told("a", `"task_routes": {"proj.api.*": "********"}`, "", "")},
			`{}`,
			map[string]string{"task_routes": "proj.api.*: hidden by Celery"},
		},
		{
			"a router in code, in two processes",
			[]celeryapp.Worker{told("a", `"task_routes": ["<function route at 0x7f01>", {"a": "b"}]`, "", ""), told("b", `"task_routes": ["<function route at 0x7f02>", {"a": "b"}]`, "", "")},
			`{}`,
			map[string]string{"task_routes": "a router in code"},
		},
		{
			"routes of pairs keep their order",
			[]celeryapp.Worker{told("a", `"task_routes": [[["z*", {"queue": "one"}], ["a*", "two"]]]`, "", "")},
			`{"task_routes":[{"z*":{"queue":"one"},"a*":{"queue":"two"}}]}`, nil,
		},
		{
			"a compiled expression",
			[]celeryapp.Worker{told("a", `"task_routes": [[["re.compile('x')", {"queue": "one"}]]]`, "", "")},
			`{}`,
			map[string]string{"task_routes": "a compiled expression"},
		},
		{
			"a map of queues, with what it hides",
			[]celeryapp.Worker{told("a", `"task_queues": {"celery": {"exchange": "celery", "routing_key": "********"}}`, "", queue)},
			`{"task_queues":{"celery":{"exchange":"celery","routing_key":"all.of.it"}}}`, nil,
		},
		{
			"a map of queues, with what it hides of a queue that nobody reads",
			[]celeryapp.Worker{told("a", `"task_queues": {"far": {"exchange": "far", "routing_key": "********"}}`, "", "")},
			`{}`,
			map[string]string{"task_queues": "queues far: hidden by Celery"},
		},
		{
			"workers that disagree",
			[]celeryapp.Worker{
				told("a", `"task_serializer": "json", "task_default_priority": 3, "timezone": "Asia/Tokyo"`, `"t [queue=low]", "u [queue=x]", "only [queue=here]"`, ""),
				told("b", `"task_serializer": "yaml", "task_default_priority": 3, "timezone": "UTC"`, `"t [queue=high]", "u [queue=x]"`, ""),
				told("c", `"task_serializer": "json", "task_default_priority": 3, "timezone": "Asia/Tokyo"`, `"t [queue=low]"`, ""),
			},
			`{"task_default_priority":3,"task_annotations":{"only":{"queue":"here"},"u":{"queue":"x"}}}`,
			map[string]string{"task_serializer": "disagree (a, c against b)", "task t": "disagree (a, c against b)", "timezone": "disagree (a, c against b)"},
		},
		{
			"a worker that was slow, and one that failed",
			[]celeryapp.Worker{told("a", `"task_serializer": "yaml"`, "", ""), {Name: "b", Conf: json.RawMessage(`{"error": "TypeError('x')"}`), Queues: json.RawMessage("[]")}},
			`{"task_serializer":"yaml"}`,
			map[string]string{"worker b": "it did not tell its tasks: no answer came in time"},
		},
		{
			"attributes with blanks in them, and those that are the settings'",
			[]celeryapp.Worker{told("a", `"task_serializer": "yaml", "task_default_priority": 4`,
				`"t [queue=two words priority=4 expires=1 day, 1:00:00 serializer=yaml time_limit=0:01:30 ignore_result=True]", "u [exchange=Exchange e(direct)]", "v [expires=2027-01-01 00:00:00+00:00 serializer=json ignore_result=False]"`, "")},
			`{"task_default_priority":4,"task_serializer":"yaml","task_annotations":{"t":{"queue":"two words","expires":90000.0,"time_limit":90.0,"ignore_result":true},"u":{"exchange":"Exchange e(direct)"},"v":{"expires":"2027-01-01 00:00:00+00:00","serializer":"json"}}}`, nil,
		},
		{
			"a zone of each machine's own",
			[]celeryapp.Worker{told("a", `"timezone": null, "enable_utc": false`, "", "")},
			`{}`,
			map[string]string{"timezone": "each machine's own"},
		},
		{
			"where the transport puts messages",
			[]celeryapp.Worker{told("a", `"broker_use_ssl": false, "broker_transport_options": {"sep": ":", "socket_timeout": 5, "global_keyprefix": "********", "priority_steps": [0, 5], "sentinel_kwargs": {"password": "********"}}`, "", "")},
			`{"broker_transport_options":{"sep":":","priority_steps":[0,5]}}`,
			map[string]string{"broker_transport_options": ""},
		},
		{
			"TLS to the broker",
			[]celeryapp.Worker{told("a", `"broker_use_ssl": {"ca_certs": "/etc/ours.pem"}`, "", "")},
			`{}`,
			map[string]string{"broker_use_ssl": "by hand"},
		},
		{
			"a Broadcast",
			[]celeryapp.Worker{told("a", `"task_queues": [{"name": "all", "queue": "bcast.1", "exchange": {"name": "all", "type": "fanout"}}]`, "", "")},
			`{}`,
			map[string]string{"task_queues": "a Broadcast"},
		},
	} {
		app, err := celeryapp.FromWorkers(tt.workers)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := string(app.Settings); got != tt.settings {
			t.Errorf("%s: the settings are\n%s, want\n%s", tt.name, got, tt.settings)
		}
		left := map[string]string{}
		for name, words := range tt.refused {
			left[name] = words
		}
		for _, r := range app.Refused {
			if words, known := tt.refused[r.Name]; known && strings.Contains(r.Reason, words) {
				delete(left, r.Name)
			} else if !known && !strings.HasPrefix(r.Name, "worker ") {
				t.Errorf("%s: %s was refused: %s", tt.name, r.Name, r.Reason)
			}
		}
		if len(left) > 0 {
			t.Errorf("%s: %v were not refused: %v", tt.name, left, app.Refused)
		}
	}
}

// Entries are those that all workers agree on, whatever their versions; arguments that are
// no data, or hidden, are refused.
func TestEntriesOfWorkers(t *testing.T) {
	app, err := celeryapp.FromWorkers([]celeryapp.Worker{
		told("new", `"timezone": "zoneinfo.ZoneInfo(key='Europe/Paris')", "beat_schedule": {
			"same": {"task": "t", "schedule": "<crontab: 0 2 1 * mon (m/h/dM/MY/d)>", "args": [1.0, 12345678901234567890, "\u00e9\ud83d\ude00"], "options": {"expires": "0:01:00"}},
			"other": {"task": "t", "schedule": 5}, "mark": {"task": "t", "schedule": 5, "options": {"queue": "<low>"}},
			"lazy": {"task": "t", "schedule": 5, "kwargs": {"now": ["<function <lambda> at 0x7f01>"]}},
			"hidden": {"task": "t", "schedule": 5, "kwargs": {"api_key": "********"}},
			"object": "<ScheduleEntry: object>",
			"new only": {"task": "t", "schedule": 5, "kwargs": {"at": "2026-01-02T03:04:00"}}}`, "", ""),
		told("old", `"timezone": "Europe/Paris", "beat_schedule": {
			"same": {"task": "t", "schedule": "<crontab: 0 2 mon 1 * (m/h/d/dM/MY)>", "args": [1.0, 12345678901234567890, "é😀"], "options": {"expires": "0:01:00"}},
			"other": {"task": "t", "schedule": 6},
			"lazy": {"task": "t", "schedule": 5, "kwargs": {"now": ["<function <lambda> at 0x7f02>"]}}}`, "", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []celeryapp.Entry{{Name: "same", Task: "t", Spec: "0 2 1 * mon", Args: `[1.0,12345678901234567890,"é😀"]`, Kwargs: "{}", Options: `{"expires":60.0}`, Remarks: []string{}}, {Name: "new only", Task: "t", Spec: "@every 5s", Args: "[]", Kwargs: `{"at":"2026-01-02T03:04:00"}`, Options: "{}", Remarks: []string{
		"a date among the arguments is carried as text: if the code has a datetime there, use `onebeat import celery`", "not known to old",
	}}}
	refused := map[string]string{}
	for _, r := range app.Refused {
		refused[r.Name] = r.Reason
	}
	if diff := cmp.Diff(want, app.Entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for name, words := range map[string]string{"mark": "options is told as the text", "other": "disagree (new against old)", "lazy": "kwargs is told as the text", "hidden": "hidden by Celery", "object": "it is told as the text"} {
		if !strings.Contains(refused[name], words) {
			t.Errorf("%s was refused for %q, want %q", name, refused[name], words)
		}
	}
	if len(refused) != 5 || app.Zone != "Europe/Paris" {
		t.Errorf("%v were refused, and the zone is %s", refused, app.Zone)
	}
	if diff := cmp.Diff([]string{"new", "old"}, app.Workers); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
}

func TestWorkersThatAreNotUnderstood(t *testing.T) {
	for _, w := range []celeryapp.Worker{
		{Name: "a", Conf: json.RawMessage(`[1]`)}, {Name: "a", Registered: json.RawMessage(`{"x": 1, "y": 2}`)}, {Name: "a", Queues: json.RawMessage(`[1]`)},
	} {
		if _, err := celeryapp.FromWorkers([]celeryapp.Worker{w}); err == nil || !strings.Contains(err.Error(), "what worker a told is not understood") {
			t.Errorf("FromWorkers(%s %s %s): %v", w.Conf, w.Registered, w.Queues, err)
		}
	}
}
