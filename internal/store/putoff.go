package store

import (
	"context"
	"fmt"
	"time"
)

// The facts put_off:S/N say since when not all is written down that was seen of entries of shard S of N: of what is
// not remembered there, slots count since then. It is written before anything that is put off is told of, and
// taken away when all is written down.
const putOffOf = "put_off:%d/%d"

// A putOff is such a fact.
type putOff struct {
	key           string
	shard, shards int
	since         time.Time
}

// allPutOffs are those of any number of shards.
func allPutOffs(ctx context.Context, q querier) (all []putOff, err error) {
	err = q.each(ctx, "put_offs", func(row scanner) (err error) {
		var one putOff
		var text string
		if err := row.Scan(&one.key, &text); err != nil {
			return err
		}
		if _, err := fmt.Sscanf(one.key, putOffOf, &one.shard, &one.shards); err != nil {
			return nil // it is of a version to come
		}
		if one.since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("onebeat_meta has the %s %q: write it as %s", one.key, text, time.RFC3339Nano)
		}
		all = append(all, one)
		return nil
	})
	return all, err
}

// putOffs are since when something is put off, by shard.
func (s *Store) putOffs(ctx context.Context) (map[int]time.Time, error) {
	all, err := allPutOffs(ctx, s.db)
	by := map[int]time.Time{}
	for _, one := range all {
		if one.shards == s.options.Shards {
			by[one.shard] = one.since
		}
	}
	return by, err
}

// partPutOffs makes the facts of another number of shards those of this one.
func (s *Store) partPutOffs(ctx context.Context, tx transaction) error {
	all, err := allPutOffs(ctx, tx)
	if err != nil || len(all) == 0 {
		return err
	}
	first := all[0].since
	for _, one := range all {
		if one.since.Before(first) {
			first = one.since
		}
		if _, err := tx.exec(ctx, "meta_delete", one.key); err != nil {
			return err
		}
	}
	for shard := range s.options.Shards {
		if err := s.notePutOff(ctx, tx, shard, first); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) notePutOff(ctx context.Context, tx transaction, shard int, since time.Time) error {
	_, err := tx.exec(ctx, "meta_insert", fmt.Sprintf(putOffOf, shard, s.options.Shards), since.Format(time.RFC3339Nano))
	return err
}

// notePutOffs writes down of which shards something is put off, before that is told of.
func (w *watch) notePutOffs(ctx context.Context) error {
	if len(w.reading.puttingOff) == 0 {
		return nil
	}
	err := w.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
		for _, shard := range w.reading.puttingOff {
			if err := w.store.notePutOff(ctx, tx, shard, w.reading.first.putOff[shard]); err != nil {
				return err
			}
		}
		return w.holds(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("remember that entries are not remembered yet: %w", err)
	}
	w.reading.puttingOff = nil
	return nil
}

// nothingPutOff takes the facts away of shards that are led here, of which all is written down: what was put off by who led them
// before was told of, and put off anew.
func (w *watch) nothingPutOff(ctx context.Context) error {
	for shard := range w.shards {
		_, noted := w.reading.first.putOff[shard]
		l := w.leadOn(shard)
		if !noted || l == nil || !w.reading.told[shard] {
			continue
		}
		clear(w.writing)
		w.writing[l] = true
		err := w.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
			if _, err := tx.exec(ctx, "meta_delete", fmt.Sprintf(putOffOf, shard, w.shards)); err != nil {
				return err
			}
			return w.holds(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("remember that all entries are remembered: %w", err)
		}
		delete(w.reading.first.putOff, shard)
	}
	return nil
}
