package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/store"
)

// A node tells what is to come, with who is in the worst seconds; one that is asked while it counts says so.
func TestANodeForecasts(t *testing.T) {
	nine := func(name, rules string) store.Definition {
		return store.Definition{Name: name, Task: "tasks.nine", Spec: "0 9 * * *", Args: `["argument-marker"]`, Rules: rules, Enabled: true}
	}
	off := nine("off", "")
	off.Enabled = false
	r := runNode(t, []store.Definition{nine("a", ""), nine("b", ""), nine("ends", `{"end": "2029-12-02T00:00:00Z"}`), off}, nil)
	await(t, "the node is ready", 10*time.Second, func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK })
	ask := func(path string) (status int, report forecast.Report) {
		t.Helper()
		status, body := r.get(path)
		if err := json.Unmarshal([]byte(body), &report); err != nil {
			t.Errorf("%s: %v\n%s", path, err, body)
		}
		return status, report
	}
	first := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	status, report := ask("/forecast?from=2030-01-01T00:00:00Z&next=36h&worst=1")
	want := []forecast.Second{{At: first.Add(9 * time.Hour), Slots: 2, Names: []string{"a", "b"}}}
	if diff := cmp.Diff(want, report.Worst); status != http.StatusOK || report.Slots != 4 || report.Entries != 3 || diff != "" {
		t.Errorf("/forecast: %d, %d entries with %d slots; want 200, 3 and 4; the worst (-want +got):\n%s", status, report.Entries, report.Slots, diff)
	}
	if status, report = ask("/forecast"); status != http.StatusOK || report.Until.Sub(report.From) != 24*time.Hour || time.Since(report.From).Abs() > time.Minute {
		t.Errorf("/forecast: %d, from %v until %v; want the coming day", status, report.From, report.Until)
	}
	if status, _ = ask("/forecast?next=x"); status != http.StatusBadRequest {
		t.Errorf("/forecast?next=x: %d", status)
	}
}
