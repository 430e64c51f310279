package store

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A memory is the run state of entries whose home is HomeMemory.
type memory struct {
	mu      sync.Mutex
	entries map[schedule.ID]sight
	began   time.Time    // when this process first read the catalog
	loaded  map[int]bool // the shards whose entries were read to their end
}

func (m *memory) get(id schedule.ID) (sight, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, ok := m.entries[id]
	return seen, ok
}

func (m *memory) put(id schedule.ID, seen sight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[schedule.ID]sight{}
	}
	m.entries[id] = seen
}

func (m *memory) drop(id schedule.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, id)
}

// record moves the entries that the memory holds; where it holds none, their
// home is elsewhere.
func (m *memory) record(ended ends) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, id := range ended.ids {
		seen, ok := m.entries[schedule.ID(id)]
		if !ok {
			continue
		}
		seen.last = schedule.Later(seen.last, ended.sent[i])
		seen.after = schedule.Later(seen.after, ended.unsent[i])
		seen.count += ended.counts[i]
		m.entries[schedule.ID(id)] = seen
	}
}

// begin is when this process first read the catalog, which is now if it never did.
func (m *memory) begin(now time.Time) beginning {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began.IsZero() {
		m.began = now
	}
	loaded := map[int]bool{}
	maps.Copy(loaded, m.loaded)
	return beginning{at: m.began, loading: true, loaded: loaded}
}

// begun notes that the entries of the shard were read to their end.
func (m *memory) begun(shard int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loaded == nil {
		m.loaded = map[int]bool{}
	}
	m.loaded[shard] = true
}

// anew forgets entries of a shard, as if this process began now.
func (m *memory) anew(now time.Time, shard int, forgets func(id schedule.ID) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.entries {
		if forgets(id) {
			delete(m.entries, id)
		}
	}
	m.began = now
	delete(m.loaded, shard)
}

// An unsure is what a record would have ended that has failed: it may have been recorded all the same, the
// answer lost.
type unsure struct {
	mu    sync.Mutex
	term  int64
	seq   int64 // of its first batch; 0 for none
	done  int   // the slots of that which were recorded, if it stays in the journal
	ended ends
}

// concluded notes what the recording, which has come to an end, did beside the database.
func (s *Shard) concluded(r *recording, err error) {
	u := &s.unsure
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err != nil && (!r.wrote || errors.Is(err, schedule.ErrLost)): // an earlier try may have been recorded still
	case err != nil:
		u.term, u.seq, u.done, u.ended = r.term, r.part.Seq, r.part.Done, r.ended
		if r.with == nil && len(r.seqs) > 0 {
			u.seq = r.seqs[0]
		}
	case r.again && u.seq == 0: // all of it is known
	case r.again:
		s.endedLocked(u.ended)
	default:
		s.endedLocked(r.ended)
	}
}

func (s *Shard) endedLocked(ended ends) {
	s.unsure.seq, s.unsure.done, s.unsure.ended = 0, 0, ends{}
	s.store.noteEnds(ended)
	s.store.memory.record(ended)
}

// settled finds out by the journal whether what is unsure was recorded, unless another node has had a term since,
// which may have ended it.
func (s *Shard) settled(journal []schedule.Claimed) {
	u := &s.unsure
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seq == 0 {
		return
	}
	i := slices.IndexFunc(journal, func(batch schedule.Claimed) bool { return batch.Seq == u.seq })
	if s.term.Load() <= u.term+1 && (i < 0 || u.done > 0 && journal[i].Recorded >= u.done) {
		s.endedLocked(u.ended)
	}
	u.seq = 0
}
