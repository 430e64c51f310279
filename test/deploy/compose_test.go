// Package deploy_test checks what deploy/ ships, on a machine without Docker.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/test/harness"
)

const deploy = "../../deploy"

// compose is as much of compose.yaml as is ours to check. Fields that are not
// here are taken by Rest.
type compose struct {
	Services map[string]service
	Volumes  map[string]any
	Rest     map[string]any `yaml:",inline"`
}

type service struct {
	Image       string
	Build       any
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	SecurityOpt []string       `yaml:"security_opt"`
	Rest        map[string]any `yaml:",inline"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeHoldsTogether(t *testing.T) {
	c := readCompose(t)
	for _, name := range []string{"postgres", "redis", "worker", "flower", "onebeat"} {
		if _, ok := c.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range c.Services {
		for other, depends := range s.DependsOn {
			if depends.Condition == "service_healthy" && len(c.Services[other].Healthcheck.Test) == 0 {
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, other)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes port %s to the whole network", name, port)
			}
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			_, declared := c.Volumes[source]
			_, err := os.Stat(filepath.Join(deploy, source))
			if !declared && err != nil {
				t.Errorf("%s mounts %s, which is neither a volume nor a file", name, source)
			}
		}
		if dockerfile := dockerfileOf(s.Build); dockerfile != "" {
			if _, err := os.Stat(dockerfile); err != nil {
				t.Errorf("%s is built from a file that is not there: %v", name, err)
			}
		}
	}
}

// dockerfileOf returns the Dockerfile of a service's build, which is a folder or
// a mapping; "" if it is not built.
func dockerfileOf(build any) string {
	switch build := build.(type) {
	case string:
		return filepath.Join(deploy, build, "Dockerfile")
	case map[string]any:
		folder, _ := build["context"].(string)
		file, _ := build["dockerfile"].(string)
		return filepath.Join(deploy, folder, file)
	}
	return ""
}

func TestComposeGivesOnebeatNoRights(t *testing.T) {
	s := readCompose(t).Services["onebeat"]
	if !s.ReadOnly {
		t.Error("read_only = false, want true")
	}
	if want := []string{"ALL"}; !slices.Equal(s.CapDrop, want) {
		t.Errorf("cap_drop = %v, want %v", s.CapDrop, want)
	}
	if want := []string{"no-new-privileges:true"}; !slices.Equal(s.SecurityOpt, want) {
		t.Errorf("security_opt = %v, want %v", s.SecurityOpt, want)
	}
	if want := []string{"CMD", "/onebeat", "health"}; !slices.Equal(s.Healthcheck.Test, want) {
		t.Errorf("health check = %v, want %v", s.Healthcheck.Test, want)
	}
	if len(s.Volumes) > 0 {
		t.Errorf("volumes = %v, want none", s.Volumes)
	}
}

// A name that onebeat does not know would be a setting that is silently lost.
func TestComposeSetsWhatOnebeatKnows(t *testing.T) {
	environment := readCompose(t).Services["onebeat"].Environment
	known := map[string]bool{
		// Celery's own, which onebeat takes by their form.
		"CELERY_TASK_DEFAULT_QUEUE": true,
	}
	for _, setting := range app.Settings {
		known[setting.Env()] = true
		for _, also := range setting.Also {
			known[also] = true
		}
	}
	var environ []string
	for name, value := range environment {
		if !known[name] {
			t.Errorf("onebeat has no setting %s", name)
		}
		environ = append(environ, name+"="+value)
	}
	config, err := app.Load(nil, func(name string) string { return environment[name] }, environ)
	if err != nil {
		t.Fatalf("onebeat refuses its settings: %v", err)
	}
	if got, want := config.String("zone"), "Asia/Tokyo"; got != want {
		t.Errorf("zone = %q, want %q", got, want)
	}
}

// The worker must take what onebeat sends: its tasks, from its queues.
func TestExampleRunsItsOwnSchedules(t *testing.T) {
	schedules, err := os.ReadFile(filepath.Join(deploy, "example", "schedules.sql"))
	if err != nil {
		t.Fatal(err)
	}
	c := readCompose(t)
	queue := c.Services["onebeat"].Environment["CELERY_TASK_DEFAULT_QUEUE"]
	command := c.Services["worker"].Command
	queues := command[slices.Index(command, "-Q")+1]
	if !slices.Contains(strings.Split(queues, ","), queue) {
		t.Errorf("onebeat sends to the queue %s, the worker takes from %s", queue, queues)
	}
	cmd := exec.Command(harness.Env(t, "ONEBEAT_TEST_PYTHON"), "-c",
		"import tasks; print('\\n'.join(t for t in tasks.app.tasks if not t.startswith('celery.')))")
	cmd.Dir = filepath.Join(deploy, "example")
	cmd.Env = append(os.Environ(), "CELERY_BROKER_URL=memory://", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("load the example's tasks: %v", err)
	}
	tasks := strings.Fields(string(out))
	if len(tasks) == 0 {
		t.Fatal("the example has no task")
	}
	for _, task := range tasks {
		if !strings.Contains(string(schedules), "'"+task+"'") {
			t.Errorf("no row of schedules.sql is for the task %s", task)
		}
	}
}
