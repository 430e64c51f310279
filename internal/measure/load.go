package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/store"
)

// A Start is how long after its start a node had all entries planned, and had sent
// a first message: of probes, of which one is due each tenth of a second and which
// come first in the table.
type Start struct {
	Loaded    time.Duration `json:"loaded_ns"`
	FirstSend time.Duration `json:"first_send_ns"`
}

// A Load is what it takes to hold entries, of which only the probes are due.
type Load struct {
	Entries int   `json:"entries"`
	First   Start `json:"first"` // on a table that onebeat has never seen
	Again   Start `json:"again"`
	Memory  int64 `json:"memory_bytes"` // resident two seconds after all were planned, of the larger start
	Peak    int64 `json:"peak_bytes"`   // the most until then
}

// probes are so many entries of every second, at even distances.
const probes = 10

// settled is how long after the last entry was planned memory is looked at.
const settled = 2 * time.Second

// farOff is when entries are due that are there to be held.
func farOff() time.Time { return time.Now().Add(24 * time.Hour).Truncate(time.Second) }

// Load measures two starts of a node.
func (b *Bench) Load(ctx context.Context, entries int) (Load, error) {
	result := Load{Entries: entries}
	err := b.at(ctx, func(s *site) error {
		if err := s.held(ctx, entries); err != nil {
			return err
		}
		for _, start := range []*Start{&result.First, &result.Again} {
			b.progress("loading %d entries", entries)
			if _, err := s.sink.Empty(ctx); err != nil {
				return err
			}
			n, err := s.start()
			if err != nil {
				return err
			}
			defer n.Kill()
			var seen Sighting
			sent := make(chan error, 1)
			go func() {
				var err error
				seen, err = Observe(ctx, s.sink.Length, 1, armedWithin(entries), armedWithin(entries))
				sent <- err
			}()
			loaded, err := n.armed(ctx, entries+probes, loadPause)
			if err := errors.Join(err, <-sent); err != nil {
				return n.Explain(err)
			}
			*start = Start{Loaded: loaded.Sub(n.Began), FirstSend: seen.First.Sub(n.Began)}
			if err := b.until(ctx, time.Now().Add(settled), "loaded"); err != nil { // what loading left is given back
				return err
			}
			now, most := n.Memory()
			result.Memory, result.Peak = max(result.Memory, now), max(result.Peak, most)
			if err := n.Stop(); err != nil {
				return err
			}
		}
		return nil
	})
	return result, err
}

// held adds the probes and then entries that are not due.
func (s *site) held(ctx context.Context, entries int) error {
	if err := s.add(ctx, probes, "probe", evenly(probes)); err != nil {
		return err
	}
	return s.add(ctx, entries, "report of customer", hourly(farOff()))
}

// An Edit is how soon edits count, and what they do to the sending.
type Edit struct {
	Entries int `json:"entries"`
	Edits   int `json:"edits"`

	// From the edit's commit until the node was seen to plan by it, to a millisecond
	// or two.
	P50  time.Duration `json:"p50_ns"`
	Most time.Duration `json:"most_ns"`

	// The same of so many entries that are added where no trigger tells of them and the node looks at the table by itself.
	Polled     int           `json:"polled"`
	PolledP50  time.Duration `json:"polled_p50_ns"`
	PolledMost time.Duration `json:"polled_most_ns"`

	// How late the probes were meanwhile.
	Sent     int           `json:"sent"`
	LateP50  time.Duration `json:"late_p50_ns"`
	LateMost time.Duration `json:"late_most_ns"`

	// BulkPlanned is how long it took until so many entries more were planned, from the commit
	// of the one transaction that adds them, and BulkCPU the node's processor time for that.
	Bulk        int           `json:"bulk"`
	BulkPlanned time.Duration `json:"bulk_planned_ns"`
	BulkCPU     time.Duration `json:"bulk_cpu_ns"`
}

// The edits that are measured: one at a time, half of them additions and half
// removals, with pauses that fall anywhere in the node's own intervals. Where looks at all entries take
// long, edits go on until one has come.
const (
	edits    = 40
	looked   = 8 // of additions where no trigger tells
	editWait = 137 * time.Millisecond
	editFor  = 40 * time.Second
	manyFrom = 100_000
)

// Edit measures how soon a node that holds entries sees edits, and then as many, but a hundred
// thousand at most, that are added together.
func (b *Bench) Edit(ctx context.Context, entries int) (Edit, error) {
	result := Edit{Entries: entries, Bulk: min(entries, manyFrom)}
	err := b.at(ctx, func(s *site) error {
		if err := s.held(ctx, entries); err != nil {
			return err
		}
		n, err := s.start()
		if err != nil {
			return err
		}
		defer n.Kill()
		all := entries + probes
		if _, err := n.armed(ctx, all, loadPause); err != nil {
			return err
		}
		since := time.Now().Add(warmUp).Truncate(time.Second)
		if err := b.until(ctx, since, "warming up"); err != nil {
			return err
		}
		began := time.Now()
		took, err := n.edits(ctx, s, all, func(made int) bool {
			return made < edits || entries >= manyFrom && time.Since(began) < editFor
		})
		if err != nil {
			return err
		}
		until := time.Now().Truncate(time.Second)
		result.Edits, result.P50, result.Most = len(took), quantile(took, 0.5), took[len(took)-1]
		b.progress("%d entries more", result.Bulk)
		used := n.CPU()
		if err := s.store.Fill(ctx, s.definitions(0, result.Bulk, "report of another customer", hourly(farOff()))); err != nil {
			return err
		}
		if result.BulkPlanned, err = n.sees(ctx, all+result.Bulk, loadPause); err != nil {
			return err
		}
		result.BulkCPU = n.CPU() - used
		if err := n.Stop(); err != nil {
			return err
		}
		late, err := s.lateness(ctx, since, until)
		if err != nil {
			return err
		}
		if len(late) == 0 {
			return n.Explain(fmt.Errorf("no probe was sent between %v and %v", since, until))
		}
		result.Sent, result.LateP50, result.LateMost = len(late), quantile(late, 0.5), late[len(late)-1]
		return b.polled(ctx, s, all+result.Bulk, &result)
	})
	return result, err
}

// polled measures entries that are added by plain SQL, one at a time, to a table without triggers that has so many.
func (b *Bench) polled(ctx context.Context, s *site, all int, result *Edit) error {
	if err := s.store.Uninstall(ctx, false); err != nil {
		return err
	}
	n, err := s.start()
	if err != nil {
		return err
	}
	defer n.Kill()
	if _, err := n.armed(ctx, all, loadPause); err != nil {
		return err
	}
	if err := b.until(ctx, time.Now().Add(warmUp), "warming up"); err != nil {
		return err
	}
	took := make([]time.Duration, looked)
	for i := range took {
		b.progress("adding without triggers: %d", i)
		if err := s.store.Fill(ctx, s.definitions(i, i+1, "report of one more customer", hourly(farOff()))); err != nil {
			return err
		}
		if took[i], err = n.sees(ctx, all+i+1, editPause); err != nil {
			return err
		}
		if err := b.until(ctx, time.Now().Add(editWait), "adding"); err != nil {
			return err
		}
	}
	slices.Sort(took)
	result.Polled, result.PolledP50, result.PolledMost = len(took), quantile(took, 0.5), took[len(took)-1]
	return n.Stop()
}

// edits adds an entry to those that the node has and removes it, again and again while more says so of the edits that were
// made, and returns how long each took to be planned by, in order of length.
func (n *node) edits(ctx context.Context, s *site, all int, more func(made int) bool) (took []time.Duration, err error) {
	for more(len(took)) {
		s.bench.progress("editing: %d", len(took))
		id, err := s.store.Add(ctx, store.Definition{Name: fmt.Sprintf("edit %d", len(took)/2), Task: "bench.tasks.report", Spec: hourly(farOff())(0), Enabled: true})
		if err != nil {
			return nil, err
		}
		added, err := n.sees(ctx, all+1, editPause)
		if err != nil {
			return nil, err
		}
		if err := s.store.Remove(ctx, id); err != nil {
			return nil, err
		}
		removed, err := n.sees(ctx, all, editPause)
		if err != nil {
			return nil, err
		}
		took = append(took, added, removed)
		if err := s.bench.until(ctx, time.Now().Add(editWait), "editing"); err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// sees returns how long it takes from now until the node plans so many entries.
func (n *node) sees(ctx context.Context, entries int, pause time.Duration) (time.Duration, error) {
	from := time.Now()
	at, err := n.armed(ctx, entries, pause)
	return at.Sub(from), err
}
