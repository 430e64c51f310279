package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/app"
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
