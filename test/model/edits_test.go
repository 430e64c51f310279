package model

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/tlc"
)

// An edits is how much of the model of edits is looked at.
type edits struct{ last, edits, takeovers, open int }

func (b edits) check(t *testing.T, without string, invariants []string) tlc.Result {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return tlc.Run(t, tlc.Check{
		Module: filepath.Join(root, "docs", "design", "edits.tla"),
		Constants: map[string]string{
			"Last": fmt.Sprint(b.last), "Edits": fmt.Sprint(b.edits), "Takeovers": fmt.Sprint(b.takeovers),
			"Open": fmt.Sprint(b.open), "Without": fmt.Sprintf("%q", without),
		},
		Invariants: invariants,
		Within:     10 * time.Minute,
	})
}

// However late an edit is told of, and whenever the node is lost, each slot is sent once,
// has one end, and is not passed over.
func TestEditsKeepThePromises(t *testing.T) {
	bounds := []edits{{2, 2, 1, 2}}
	if whole {
		bounds = append(bounds, edits{2, 3, 2, 3}, edits{3, 2, 1, 3})
	}
	for _, b := range bounds {
		r := b.check(t, "", []string{"NoDuplicate", "OneEnd", "AnEnd", "NoLoss"})
		if r.Violated != "" {
			t.Errorf("%+v: %s is broken:\n%s", b, r.Violated, r.Output)
		}
		t.Logf("%+v: %d states, %d of them distinct, to the depth of %d, in %v", b, r.Generated, r.Distinct, r.Depth, r.Took)
	}
}

// Without any of its means the model breaks a promise.
func TestEachMeansAgainstEditsIsNeeded(t *testing.T) {
	for _, tt := range []struct{ without, breaks string }{
		{"what was handed over", "NoLoss"},
		{"what was sent", "NoDuplicate"},
		{"what ended unsent", "OneEnd"},
		{"what was left", "AnEnd"},
		{"the wait for another claim", "AnEnd"},
	} {
		t.Run(tt.without, func(t *testing.T) {
			r := edits{2, 2, 1, 2}.check(t, tt.without, []string{tt.breaks})
			if r.Violated != tt.breaks {
				t.Errorf("it breaks %q, want %q\n%s", r.Violated, tt.breaks, r.Output)
			}
		})
	}
}
