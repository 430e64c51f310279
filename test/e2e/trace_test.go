package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/tlc"
)

// What real nodes do, of which one is killed and one is frozen and wakes up, is
// something that the model of docs/design allows; what they must not do is not.
func TestTheModelAllowsWhatNodesDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, postgres, redis)
	s.herd(t, 3)
	path := filepath.Join(s.dir, "trace")
	env := []string{app.TraceEnv + "=" + path}
	flags := []string{"--lease", "2s"}
	first := s.launch(t, env, flags...)
	first.await(t, "entries loaded")
	// The fourth publishing of the second takes a while, so that the freeze falls into it.
	second := s.launch(t, append(slices.Clone(env), failpoint.Env+"=redis.publish.before=800ms@4"), flags...)
	second.await(t, "waiting for the lease")
	from := time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", from, 20*time.Second)

	until(t, from.Add(time.Second-50*time.Millisecond))
	first.kill()
	second.await(t, "lease taken")
	s.awaitSent(t, "herd 0", from.Add(2*time.Second), 20*time.Second)

	third := s.launch(t, env, flags...)
	third.await(t, "waiting for the lease")
	harness.Eventually(t, 20*time.Second, func() error {
		if n := published(t, path, second.name); n < 4 {
			return fmt.Errorf("%s has published %d times", second.name, n)
		}
		return nil
	})
	second.process.Pause()
	frozen := time.Now().Truncate(time.Second)
	third.await(t, "lease taken")
	s.awaitSent(t, "herd 0", frozen.Add(time.Second), 20*time.Second)
	second.process.Resume()
	harness.Eventually(t, 10*time.Second, func() error {
		// Whichever of its calls told it so, it waits again.
		if len(second.find(t, "waiting for the lease")) < 2 {
			return fmt.Errorf("%s has not seen that its lease is gone", second.name)
		}
		return nil
	})
	s.awaitSent(t, "herd 0", time.Now().Truncate(time.Second).Add(time.Second), 20*time.Second)
	third.stop(t)
	second.stop(t)

	trace := readTrace(t, path)
	t.Logf("%d steps, %d slots", len(trace.steps), trace.last)
	if r := trace.check(t); r.Violated != "Unfinished" {
		t.Errorf("the model does not allow the trace (%q; it got to the depth of %d):\n%s", r.Violated, r.Depth, trace.module())
	}
	for name, spoil := range map[string]func(steps []step) []step{
		"a claim that was not made": func(steps []step) []step {
			i := slices.IndexFunc(steps, func(s step) bool { return s.op == "claim" })
			return slices.Delete(steps, i, i+1)
		},
		"a record before its message was sent": func(steps []step) []step {
			i := slices.IndexFunc(steps, func(s step) bool { return s.op == "send" })
			return slices.Delete(steps, i, i+1)
		},
		"a message before its slot": func(steps []step) []step {
			i := slices.IndexFunc(steps, func(s step) bool { return s.op == "ready" })
			steps[i].from--
			steps[i].to = steps[i].from
			return steps
		},
		"a claim of an old term": func(steps []step) []step {
			old := slices.IndexFunc(steps, func(s step) bool { return s.op == "claim" })
			late := steps[old]
			late.called, late.returned, late.from, late.to = 0, math.MaxInt32, 0, 99
			for _, s := range steps { // some never returned
				late.called = max(late.called, s.called+1)
			}
			late.seq++
			return append(steps, late)
		},
	} {
		spoilt := trace
		spoilt.steps = spoil(slices.Clone(trace.steps))
		if r := spoilt.check(t); r.Violated != "" {
			t.Errorf("%s: the model says %q, want that it does not allow the trace", name, r.Violated)
		}
	}
}

// published counts the calls of a node that are in the trace by now.
func published(t *testing.T, path, node string) (calls int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for raw := range bytes.Lines(text) {
		var line app.TraceLine
		if json.Unmarshal(raw, &line) == nil && line.Op == "publish" && line.Node == node {
			calls++
		}
	}
	return calls
}

// A step is one of the model's, as a node took it or may have.
type step struct {
	op, node         string
	term, seq        int64
	dues, held       []string // as the model has slots
	seqs             []int64
	called, returned int64 // moments, in order
	from, to         int   // the slots that had come by then
	maybe            bool
}

// A trace is what all nodes did.
type trace struct {
	steps   []step
	entries []string
	last    int
}

// A traceCall is a call with what came of it, or nil.
type traceCall struct {
	app.TraceLine
	back *app.TraceLine
}

func readTrace(t *testing.T, path string) trace {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var calls []*traceCall
	open := map[string]*traceCall{}
	for raw := range bytes.Lines(text) {
		var line app.TraceLine
		if err := json.Unmarshal(raw, &line); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		key := fmt.Sprint(line.Node, line.Call)
		if line.Op != "" {
			open[key] = &traceCall{TraceLine: line}
			calls = append(calls, open[key])
		} else {
			open[key].back = &line
		}
	}
	return asSteps(t, merged(calls))
}

// merged makes one call of those that were tried again, for they are the same: it
// came about at some moment between the first and the answer to the last.
func merged(calls []*traceCall) (all []*traceCall) {
	first := map[string]*traceCall{}
	for _, c := range calls {
		key := fmt.Sprint(c.Op, c.Node, c.Term, c.Seq, c.Seqs, c.Done)
		if was := first[key]; was != nil && c.Op != "acquire" {
			was.back = c.back
			continue
		}
		first[key] = c
		all = append(all, c)
	}
	return all
}

// slack is by how much a node's clock may differ from the one that stamps lines.
const slack = 20 * time.Millisecond

func asSteps(t *testing.T, calls []*traceCall) trace {
	t.Helper()
	base := int64(math.MaxInt64)
	var stamps []int64
	for _, c := range calls {
		stamps = append(stamps, c.At)
		if c.back != nil {
			stamps = append(stamps, c.back.At)
		}
		for _, due := range c.Dues {
			base = min(base, due.Slot)
		}
	}
	slices.Sort(stamps)
	moment := func(at int64) int64 { i, _ := slices.BinarySearch(stamps, at); return int64(i) }
	come := func(at int64) int { return max(0, int((at/1000-base)/1e6)+1) }

	// A claim without an answer, of a node that woke up, did nothing where its number is another's.
	answered := map[int64]bool{}
	for _, c := range calls {
		if c.Op == "claim" && c.back != nil && c.back.Error == "" {
			answered[c.Seq] = true
		}
	}
	calls = slices.DeleteFunc(calls, func(c *traceCall) bool {
		return c.Op == "claim" && (c.back == nil || c.back.Error != "") && answered[c.Seq]
	})

	tr := trace{}
	entries := map[string]bool{}
	places := map[int64][][]string{} // by batch: the slots of each of its places
	settled := map[string]int{}      // by node, term and batch: how many of its places
	for _, c := range calls {
		if c.Op != "claim" || c.back != nil && c.back.Lost { // of a node that woke up, it may have another's number
			continue
		}
		if places[c.Seq] = nil; len(c.Dues) == 0 {
			t.Fatalf("%s claimed nothing: %+v", c.Node, c)
		}
		for _, due := range c.Dues {
			var slots []string
			for slot := due.Slot; slot <= max(due.Slot, due.Through); slot += 1e6 {
				at := int((slot-base)/1e6) + 1
				tr.last = max(tr.last, at)
				slots = append(slots, fmt.Sprintf("<<%q, %d>>", due.Entry, at))
			}
			entries[string(due.Entry)] = true
			places[c.Seq] = append(places[c.Seq], slots)
		}
	}
	tr.entries = slices.Sorted(maps.Keys(entries))
	for _, c := range calls {
		s := step{op: c.Op, node: c.Node, term: c.Term, seq: c.Seq, seqs: c.Seqs, called: moment(c.At), from: come(c.At - int64(slack))}
		if c.back == nil || c.back.Error != "" && !c.back.Lost {
			s.maybe, s.returned, s.to = true, math.MaxInt32, tr.last
		} else {
			s.returned, s.to = moment(c.back.At), come(c.back.At+int64(slack))
		}
		if c.back != nil && c.back.Lost || c.Op == "acquire" && s.maybe {
			continue // it did nothing
		}
		switch c.Op {
		case "acquire":
			s.term = c.back.Term
			tr.steps = append(tr.steps, s)
		case "take":
			if c.back != nil {
				s.seq = c.back.Seq
				settled[fmt.Sprint(c.Node, c.Term, c.back.Seq)] = c.back.Done
			}
			tr.steps = append(tr.steps, s)
		case "claim":
			s.dues = slices.Concat(places[c.Seq]...)
			tr.steps = append(tr.steps, s)
		case "record":
			tr.steps = append(tr.steps, s)
		case "publish":
			key := fmt.Sprint(c.Node, c.Term, c.Seq)
			for i := settled[key]; i < c.Done; i++ {
				s.dues = append(s.dues, places[c.Seq][i]...)
				if !slices.Contains(c.Sent, i) {
					s.held = append(s.held, places[c.Seq][i]...)
				}
			}
			settled[key] = c.Done
			ready := s
			ready.op, s.op = "ready", "send"
			tr.steps = append(tr.steps, ready, s)
		}
	}
	for i := range tr.steps {
		tr.steps[i].from, tr.steps[i].to = min(tr.steps[i].from, tr.last), min(tr.steps[i].to, tr.last)
	}
	return tr
}

// module is the trace as the model reads it: a stream for each goroutine.
func (tr trace) module() string {
	streams := map[string][]string{}
	for _, s := range tr.steps {
		goroutine := s.node + " " + strings.Replace(s.op, "ready", "send", 1)
		var seqs []string
		for _, seq := range s.seqs {
			seqs = append(seqs, fmt.Sprint(seq))
		}
		streams[goroutine] = append(streams[goroutine], fmt.Sprintf(
			"[op |-> %q, node |-> %q, term |-> %d, seq |-> %d, seqs |-> {%s}, dues |-> {%s}, held |-> {%s}, called |-> %d, returned |-> %d, from |-> %d, to |-> %d, maybe |-> %s]",
			s.op, s.node, s.term, s.seq, strings.Join(seqs, ", "), strings.Join(s.dues, ", "), strings.Join(s.held, ", "),
			s.called, s.returned, s.from, s.to, strings.ToUpper(fmt.Sprint(s.maybe))))
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		all = append(all, "<<\n    "+strings.Join(streams[name], ",\n    ")+" >>")
	}
	return "---- MODULE tracedata ----\nEXTENDS Naturals\nStreams == <<\n  " + strings.Join(all, ",\n  ") + " >>\n====\n"
}

// check asks whether the model allows the trace: then Unfinished is violated.
func (tr trace) check(t *testing.T) tlc.Result {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	design := filepath.Join(root, "docs", "design")
	model, err := os.ReadFile(filepath.Join(design, "dispatch.tla"))
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for _, s := range tr.steps {
		nodes[s.node] = true
	}
	set := func(names []string) string { return `{"` + strings.Join(names, `", "`) + `"}` }
	return tlc.Run(t, tlc.Check{
		Module: filepath.Join(design, "trace.tla"),
		Beside: map[string]string{"dispatch.tla": string(model), "tracedata.tla": tr.module()},
		Spec:   "TraceSpec",
		Constants: map[string]string{
			"Nodes": set(slices.Sorted(maps.Keys(nodes))), "Entries": set(tr.entries), "Last": fmt.Sprint(tr.last),
			"Terms": "1000", "Batch": "1000", "Ahead": "1000", "Answers": "0", "Edits": "1000", "Restores": "0", "Marks": "0", "Without": `""`,
		},
		Invariants: []string{"NeverEarly", "NoDuplicate", "NoLoss", "OneEnd", "Acknowledged", "Unfinished"},
		Within:     2 * time.Minute,
	})
}
