package app

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/settings.md anew")

const settingsDoc = "../../docs/settings.md"

// celerys are the settings under Celery's own names, each with what onebeat makes of it.
var celerys = map[string]string{
	"broker_use_ssl":                          "TLS to the broker: true, or a map of `ca_certs`, `certfile`, `keyfile`, `cert_reqs`, `server_hostname`, `check_hostname` (also with `ssl_` before them). The same may stand in the URL, as `ssl_ca_certs=…`; the certificate and its name are verified unless `cert_reqs` is none",
	"broker_failover_strategy":                "how a list of broker URLs (`a;b;c`) is tried: round-robin (the default: from the first on) or shuffle",
	"broker_transport_options":                "options of the broker's transport, as the workers have them. Redis: `global_keyprefix`, `sep`, `priority_steps`, `fanout_prefix`, `fanout_patterns`, `deadletter_queue`, `visibility_timeout` (which only `check` asks for), and for Sentinel `master_name` and `sentinel_kwargs` (`username`, `password`); SQLAlchemy: `queue_tablename`, `message_tablename`; filesystem: `data_folder_out`, `control_folder`; SQS: `region`, `queue_name_prefix`, `predefined_queues`, `visibility_timeout`, `sqs-creation-attributes`, `queue_tags`, `sqs_base64_encoding`, `is_secure`, `sts_role_arn`, `sts_token_timeout`; others are passed over",
	"control_exchange":                        "the exchange of remote control, as the workers have it: `import live` asks them there; `celery` unless set",
	"event_exchange":                          "the exchange of events, as the workers have it: `shadow` listens there, and task-sent events (`events`) go there; `celeryev` unless set",
	"task_annotations":                        "options by task name, or `*` for all: `queue`, `priority`, `expires`, `time_limit` …; annotations in code cannot be read",
	"task_compression":                        "how bodies are compressed: `zlib` (also called `gzip`); not at all unless set",
	"task_create_missing_queue_exchange_type": "the exchange type of a queue that `task_queues` does not name",
	"task_create_missing_queue_type":          "`classic` or `quorum`, for a queue that `task_queues` does not name",
	"task_create_missing_queues":              "whether a task may go to a queue that `task_queues` does not name; yes unless set",
	"task_default_delivery_mode":              "`persistent` (unless set) or `transient`",
	"task_default_exchange":                   "the exchange of queues that name none",
	"task_default_exchange_type":              "its type; `direct` unless set",
	"task_default_priority":                   "the priority of tasks that name none",
	"task_default_queue":                      "the queue of tasks that no route names; `celery` unless set",
	"task_default_queue_type":                 "`classic` or `quorum`",
	"task_default_routing_key":                "the routing key of queues that name none",
	"task_ignore_result":                      "whether workers keep no result of tasks that do not say",
	"task_protocol":                           "2, the only one; another is refused",
	"task_queue_max_priority":                 "`x-max-priority` of queues that name none and are declared (`declare`)",
	"task_queues":                             "the queues: a list, each with `name` and perhaps `exchange`, `routing_key`, `queue_arguments` …",
	"task_repr_maxlevels":                     "how deep `argsrepr` and `kwargsrepr` go",
	"task_routes":                             "where tasks go, by name or pattern; the first that fits wins, so the order counts",
	"task_send_sent_event":                    "the setting `events`",
	"task_serializer":                         "`json` (unless set), `yaml` or `msgpack`; `pickle` is never sent",
	"task_soft_time_limit":                    "of tasks that say none, in seconds",
	"task_time_limit":                         "of tasks that say none, in seconds",
}

// example is the settings file that the page shows. It must load.
const example = `database: postgresql://app@localhost/app
broker: redis://localhost:6379/1
zone: Asia/Tokyo
listen: 0.0.0.0:8080
log-format: json

celery:
  task_default_queue: default
  task_queues:
    - name: default
    - name: priority
  task_routes:
    fetch_listed_info_task: {queue: default}
    reports.*: {queue: priority, priority: 5}
  task_time_limit: 3600
  broker_transport_options:
    global_keyprefix: app-
`

// page prints docs/settings.md.
func page() []byte {
	var out bytes.Buffer
	out.WriteString(`# Settings

<!-- Printed from the table in internal/app/settings.go: go test ./internal/app -run Settings -update -->

A setting may be given in five places; a later one wins over those before it:

1. its default;
2. a YAML file, which ` + "`--config` or `ONEBEAT_CONFIG`" + ` names, by the setting's name;
3. the environment of an existing Celery deployment;
4. ` + "`ONEBEAT_…`" + ` in the environment;
5. a flag.

An empty variable counts as not given. A ` + "`.env`" + ` file is for the shell or the container engine to read; onebeat reads none.
Lengths of time are written as ` + "`250ms`, `5s`, `2h30m`" + `; switches as ` + "`true` or `false`" + `, ` + "`yes`, `on`, `1`" + ` and their opposites. All faults
are told together, in one line, before anything is started.

| setting | default | existing variables | meaning |
|---|---|---|---|
`)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, s := range Settings {
		value, also := "", ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		if len(s.Also) > 0 {
			also = "`" + strings.Join(s.Also, "`, `") + "`"
		}
		row("`"+s.Name+"`", value, also, s.Help)
	}
	out.WriteString(`
Each has the flag ` + "`--name` and the variable `ONEBEAT_NAME`" + `, in capitals and with ` + "`_` for `-`: `--log-level`, `ONEBEAT_LOG_LEVEL`" + `. The
verbs that look into the database take the first thirteen; ` + "`serve` and `check`" + ` take all.

## Celery's own

What decides where a message goes and what it says is set under Celery's own names and means what it means there: in
the file under ` + "`celery:`, or in the environment as `CELERY_TASK_ROUTES`" + ` and so on, which wins. In the environment, structures are
written as JSON or YAML, and what decides nothing about messages is passed over, for it is the workers'; in the file it is
refused, so that a slip of the pen is seen. ` + "`timezone`, `broker_url`, `broker_write_url`, `result_backend`" + ` may stand in the section
too and mean the settings above.

| setting | meaning |
|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(celerys)) {
		row("`"+name+"`", celerys[name])
	}
	out.WriteString("\n## An example\n\n```yaml\n" + example + "```\n")
	return out.Bytes()
}

func TestSettingsPageIsCurrent(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(settingsDoc, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(settingsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/settings.md is not what the table of settings prints: run go test ./internal/app -run Settings -update")
	}
}

func TestSettingsPageTellsWhichVerbsTakeWhat(t *testing.T) {
	for i, s := range Settings {
		if s.Serve != (i >= 13) {
			t.Errorf("%s is setting %d, with Serve %v; the page says that all verbs with a database take the first thirteen", s.Name, i+1, s.Serve)
		}
	}
}

// The page names what Celery's parser reads, no more and no less.
func TestSettingsPageNamesAllOfCelerys(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "celery", "settings.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, name := range ofTransport {
		read[name] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "settings" {
			return true
		}
		for _, setting := range spec.Values[0].(*ast.CompositeLit).Elts {
			name, err := strconv.Unquote(setting.(*ast.CompositeLit).Elts[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			read[name] = true
		}
		return false
	})
	if len(read) < 10 {
		t.Fatalf("the parser's settings were not found: %v", read)
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if celerys[name] == "" {
			t.Errorf("%s is read and not on the page", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(celerys)) {
		if !read[name] {
			t.Errorf("%s is on the page and not read", name)
		}
	}
}

func TestTheExampleLoads(t *testing.T) {
	config := mustLoad(t, nil, map[string]string{"config": settingsFile(t, example)})
	if err := CheckURLs(config); err != nil {
		t.Error(err)
	}
	if _, err := CelerySettings(config); err != nil {
		t.Error(err)
	}
	if got := config.String("listen"); got != "0.0.0.0:8080" {
		t.Errorf("listen = %q, want the file's", got)
	}
}
