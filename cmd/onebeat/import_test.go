package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celeryapp"
)

// Rows hold no queues and routes: who takes entries into the table alone is told of those.
func TestAnImportTellsOfSettingsThatItLeavesOut(t *testing.T) {
	for _, tt := range []struct {
		settings, want string
	}{
		{`{"task_routes": {}, "task_default_queue": "q"}`, "task_default_queue, task_routes too: --settings "},
		{`{}`, ""},
		{``, ""},
	} {
		config, err := app.Load(nil, func(string) string { return "" }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := leftOut(json.RawMessage(tt.settings), config); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("leftOut(%s) = %q, want %q in it", tt.settings, got, tt.want)
		}
	}
}

// Nor does a file get what would be set aside when it is read.
func TestAnImportToAFileLeavesOutWhatCannotBeSent(t *testing.T) {
	bareEnvironment(t)
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "import"}
	importApp(cmd, ofDatabase, func(context.Context, app.Config, []string) (celeryapp.App, error) {
		return celeryapp.App{Zone: "UTC", Settings: json.RawMessage("{}"), Entries: []celeryapp.Entry{
			{Name: "odd", Task: "t", Spec: "@every 60s", Args: "[]", Kwargs: "{}", Options: `{"serializer": "pickle"}`},
			{Name: "oddly long", Task: "t", Spec: "@every 34560000000s"},
			{Name: "fine", Task: "t", Spec: "0 9 * * *", Args: "[]", Kwargs: "{}", Options: "{}"},
		}}, nil
	})
	cmd.SetOut(&out)
	file := filepath.Join(t.TempDir(), "schedules.yaml")
	cmd.SetArgs([]string{"--file", file, "--apply"})
	exit := exitError{}
	if err := cmd.ExecuteContext(t.Context()); !errors.As(err, &exit) || exit.code != exitNo || !strings.Contains(out.String(), "refuse odd: task t: serializer \"pickle\" is never sent") {
		t.Errorf("import: %v, want the code %d, and the reason for odd:\n%s", err, exitNo, out.String())
	}
	if !strings.Contains(out.String(), "refuse oddly long: ") {
		t.Errorf("import prints\n%s\nand refuses no spec that cannot be read", out.String())
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "odd") || !strings.Contains(string(text), "fine") {
		t.Errorf("the file says, %v,\n%s\nwant fine alone", err, text)
	}
}

// An entry that the table would not take keeps no other from being taken over.
func TestAnImportLeavesOutWhatCannotBeSent(t *testing.T) {
	bareEnvironment(t)
	database := "sqlite:///" + filepath.Join(t.TempDir(), "app.db")
	if code, _, complaints := onebeat(t, "migrate", "--database", database); code != 0 {
		t.Fatal(complaints)
	}
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "import"}
	importApp(cmd, ofDatabase, func(context.Context, app.Config, []string) (celeryapp.App, error) {
		return celeryapp.App{Zone: "UTC", Refused: []celeryapp.Refused{{Name: "code", Reason: "it is code"}}, Entries: []celeryapp.Entry{
			{Name: "good", Task: "t", Spec: "@every 60s"},
			{Name: "odd", Task: "t", Spec: "@every 60s", Options: `{"priority": "high"}`},
			{Name: "fine", Task: "t", Spec: "0 9 * * *"},
		}}, nil
	})
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--database", database, "--apply"})
	exit := exitError{}
	if err := cmd.ExecuteContext(t.Context()); !errors.As(err, &exit) || exit.code != exitNo {
		t.Errorf("import: %v, want the code %d", err, exitNo)
	}
	for _, want := range []string{"refuse  code ", "refuse  odd ", "option priority must be a whole number", "Done: 2 of 2 entries"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("import prints\n%s\nwant %q in it", out.String(), want)
		}
	}
	if _, list, _ := onebeat(t, "entries", "list", "--database", database); !strings.Contains(list, "good ") || !strings.Contains(list, "fine ") || strings.Contains(list, "odd ") {
		t.Errorf("after it there are\n%s\nwant good and fine", list)
	}
}
