// Package celeryapp reads what a Celery application's code says: its beat_schedule, its
// queues and routes, and what its tasks' classes say of their messages. Read runs the
// application's own Python once, with a script that is part of onebeat and needs nothing
// but Celery. FromWorkers makes the same of what running workers tell, as far as that is
// data; what is not, it names.
package celeryapp

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

//go:embed read.py
var script string

// An App is what was read of an application.
type App struct {
	Zone    string    `json:"zone"` // of its crontabs: timezone, or UTC
	Entries []Entry   `json:"entries"`
	Refused []Refused `json:"refused"`
	Workers []string  `json:"-"` // those that told, if any did

	// Settings are Celery's that decide about messages, where they are not its defaults,
	// with what the classes of tasks say as task_annotations: a JSON object, whose order
	// counts.
	Settings json.RawMessage `json:"settings"`
}

// An Entry is an entry of beat_schedule.
type Entry struct {
	Name    string   `json:"name"`
	Task    string   `json:"task"`
	Spec    string   `json:"spec"` // as schedule.ParseSpec reads it
	Args    string   `json:"args"` // JSON texts
	Kwargs  string   `json:"kwargs"`
	Options string   `json:"options"`
	Remarks []string `json:"remarks"` // what of it is not carried over
}

// A Refused is an entry that cannot be carried over.
type Refused struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // and what to do
}

// Read loads the application by its name, as `celery -A name` does, with the Python
// given, in the folder dir; empty is this process's. It runs the application's code.
func Read(ctx context.Context, python, name, dir string) (App, error) {
	cmd := exec.CommandContext(ctx, python, "-B", "-c", script, name)
	cmd.Dir = dir
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	cmd.WaitDelay = 2 * time.Second // a program that the application has begun may keep its outputs open
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		if errors.Is(err, exec.ErrNotFound) {
			return App{}, fmt.Errorf("there is no program %s: name the application's Python with --python", python)
		}
		why := last(told.String(), err)
		if strings.HasSuffix(why, "No module named 'celery'") {
			why += ": name the application's own Python with --python, such as venv/bin/python"
		}
		return App{}, fmt.Errorf("loading the application %s: %s", name, why)
	}
	var app App
	if err := json.Unmarshal(out.Bytes(), &app); err != nil {
		return App{}, fmt.Errorf("loading the application %s: its answer is not understood", name)
	}
	return app, nil
}

// last is the last line that Python told, which names what went wrong.
func last(told string, err error) string {
	lines := strings.Split(strings.TrimSpace(told), "\n")
	if line := strings.TrimSpace(lines[len(lines)-1]); line != "" {
		return line
	}
	return err.Error()
}
