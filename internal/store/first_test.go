package store

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An anticipated is a database in which something happens before the first transaction.
type anticipated struct {
	database
	do func()
}

func (a *anticipated) transact(ctx context.Context, how mode, work func(transaction) error) error {
	if do := a.do; do != nil {
		a.do = nil
		do()
	}
	return a.database.transact(ctx, how, work)
}

// At the first start a node does not put what it sees of other nodes' shards in the place of what their leaders
// have seen since.
func TestWhoLeadsAShardKnowsBetterAtTheFirstStart(t *testing.T) {
	const shards = 2
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{Shards: shards})
	definitions := make([]Definition, 20)
	for i := range definitions {
		definitions[i] = Definition{Name: string(rune('a' + i)), Task: "t", Spec: "@every 1s", Enabled: true}
	}
	if err := s.Fill(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids, specs []string
	for i := range rows {
		ids, specs = append(ids, string(rows[i].ID)), append(specs, "abc")
	}
	w := s.newWatch(shards)
	w.leads[0] = &lead{ctx: t.Context(), watcher: loader(func(context.Context, []schedule.Change) error { return nil }), failed: make(chan error, 1), first: true}
	inner := s.db
	s.db = &anticipated{inner, func() { // the other node has seen an edit of each
		err := inner.transact(t.Context(), mode{}, func(tx transaction) error {
			return tx.many(t.Context(), "entry_seen", ids, specs, slices.Repeat([]time.Time{time.Now()}, len(ids)))
		})
		if err != nil {
			t.Error(err)
		}
	}}
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var others, own int
	err = s.recallAll(t, ids, func(id, spec string) {
		switch led := schedule.ID(id).Shard(shards) == 0; {
		case !led && spec != "abc":
			others++
		case led && spec == "abc":
			own++
		}
	})
	if err != nil || others > 0 || own > 0 {
		t.Errorf("%d entries of the other node, and %d of this one, are remembered as the other than their leader saw them, %v", others, own, err)
	}
}

// recallAll calls each for what is remembered of the entries.
func (s *Store) recallAll(t *testing.T, ids []string, each func(id, spec string)) error {
	rows := make([]row, len(ids))
	for i := range rows {
		rows[i].id = ids[i]
	}
	err := s.recall(t.Context(), rows)
	for i := range rows {
		each(rows[i].id, rows[i].seenSpec)
	}
	return err
}
