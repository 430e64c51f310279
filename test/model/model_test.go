// Package model checks the model of docs/design/dispatch.tla: that its promises
// hold in every state that can be reached, and that each of its means is needed.
package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/tlc"
)

// whole makes the checks those of `make model`, which take long.
var whole = os.Getenv("ONEBEAT_MODEL") == "whole"

// A bound is how much of the model is looked at.
type bound struct {
	nodes, entries, last, terms, batch, ahead, answers, edits, restores, marks int
}

func (b bound) constants(without string) map[string]string {
	set := func(prefix string, n int) string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint(prefix, i+1))
		}
		return "{" + strings.Join(names, ", ") + "}"
	}
	return map[string]string{
		"Nodes": set("n", b.nodes), "Entries": set("e", b.entries),
		"Last": fmt.Sprint(b.last), "Terms": fmt.Sprint(b.terms), "Batch": fmt.Sprint(b.batch), "Ahead": fmt.Sprint(b.ahead),
		"Answers": fmt.Sprint(b.answers), "Edits": fmt.Sprint(b.edits), "Restores": fmt.Sprint(b.restores), "Marks": fmt.Sprint(b.marks),
		"Without": fmt.Sprintf("%q", without),
	}
}

// promises are the model's invariants.
var promises = []string{"NeverEarly", "NoDuplicate", "NoLoss", "OneEnd", "Acknowledged", "FewUnsure"}

func check(t *testing.T, b bound, without string, invariants []string) tlc.Result {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	within := 5 * time.Minute
	if whole {
		within = time.Hour
	}
	return tlc.Run(t, tlc.Check{
		Module:     filepath.Join(root, "docs", "design", "dispatch.tla"),
		Constants:  b.constants(without),
		Symmetry:   "Symmetry",
		Invariants: invariants,
		Within:     within,
	})
}

func TestThePromisesHold(t *testing.T) {
	for _, tt := range []struct {
		name  string
		whole bool // only in `make model`
		bound bound
	}{
		{"Redis", false, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 2, ahead: 1, answers: 1, edits: 1}},
		{"Redis that forgets", false, bound{nodes: 2, entries: 2, last: 2, terms: 2, batch: 2, ahead: 1, restores: 1}},
		{"RabbitMQ", false, bound{nodes: 2, entries: 2, last: 2, terms: 2, batch: 2, ahead: 1, edits: 1, marks: 1}},
		{"Redis, a takeover with two batches in hand", false, bound{nodes: 2, entries: 2, last: 2, terms: 2, batch: 1, ahead: 2, edits: 1}},
		{"Redis, two batches in hand", true, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 2, ahead: 2, answers: 1, edits: 1}},
		{"Redis that forgets, three terms", true, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 2, ahead: 1, edits: 1, restores: 1}},
		{"Redis that forgets, two batches in hand", true, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 1, ahead: 2, restores: 1}},
		{"RabbitMQ, two batches in hand", true, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 1, ahead: 2, edits: 1, marks: 1}},
		{"RabbitMQ, three terms", true, bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 2, ahead: 1, edits: 1, marks: 1}},
		{"Redis, 3 nodes, 3 entries, 3 slots, faults", true, bound{nodes: 3, entries: 3, last: 3, terms: 2, batch: 3, ahead: 1, answers: 1, edits: 1}},
		{"Redis, 3 nodes, 3 entries, 3 slots", true, bound{nodes: 3, entries: 3, last: 3, terms: 3, batch: 3, ahead: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.whole && !whole {
				return
			}
			r := check(t, tt.bound, "", promises)
			if r.Violated != "" {
				t.Errorf("%s is broken:\n%s", r.Violated, r.Output)
			}
			t.Logf("%+v: %d states, %d of them distinct, to the depth of %d, in %v", tt.bound, r.Generated, r.Distinct, r.Depth, r.Took)
		})
	}
}

// Without any one of its means, the model breaks a promise.
func TestEachMeansIsNeeded(t *testing.T) {
	redis := bound{nodes: 2, entries: 2, last: 2, terms: 3, batch: 2, ahead: 1, answers: 1, edits: 1}
	rabbit := bound{nodes: 2, entries: 2, last: 2, terms: 2, batch: 2, ahead: 1, marks: 1}
	for _, tt := range []struct {
		without string
		bound   bound
		breaks  []string
	}{
		{"waiting", redis, []string{"NeverEarly"}},
		{"journal", redis, []string{"NoLoss"}},
		{"one transaction", redis, []string{"NoLoss"}},
		{"journal at record", redis, []string{"OneEnd"}},
		{"term and journal at record", redis, []string{"OneEnd"}},
		{"term at claim", redis, []string{"NoDuplicate", "OneEnd", "NoLoss"}},
		{"fence", redis, []string{"OneEnd", "NoDuplicate", "Acknowledged"}},
		{"fence, but a look at the lease", redis, []string{"OneEnd", "NoDuplicate", "Acknowledged"}},
		{"mark at publish", redis, []string{"NoDuplicate"}},
		{"mark in recovery", redis, []string{"OneEnd", "NoDuplicate", "Acknowledged"}},
		{"notes", redis, []string{"NoLoss"}},
		{"notes of before", redis, []string{"NoLoss"}},
		{"exclusive queue", rabbit, []string{"NoDuplicate"}},
	} {
		t.Run(tt.without, func(t *testing.T) {
			// The checker's two threads come to the broken promises of one depth in any
			// order: it is asked for these alone.
			r := check(t, tt.bound, tt.without, tt.breaks)
			if !slices.Contains(tt.breaks, r.Violated) {
				t.Errorf("it breaks %q, want one of %q\n%s", r.Violated, tt.breaks, r.Output)
			}
			t.Logf("it breaks %s", r.Violated)
		})
	}
}
