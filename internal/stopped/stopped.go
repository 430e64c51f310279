// Package stopped keeps a node that was stopped by a signal (SIGSTOP, Ctrl-Z) from keeping all others from a
// SQLite file.
//
// Whoever is stopped in the middle of a write keeps the file's lock until it goes on or ends, and there is no server
// that would end it. So a node that waits for the file looks now and then who has it: the kernel knows, for SQLite's
// locks are the system's (fcntl(2)). A node of the same file that was seen stopped at several looks, one after the other, is
// ended, as by kill -9: SQLite takes back what it was writing, and what it had claimed is the next node's.
//
//   - None is ended but a node that shows its sign beside the same file (Watch.Show) and has the lock that is waited for. Another
//     program that is stopped there is named in the log, for a person to see to; so is a node that this
//     process may not end.
//   - None is ended that runs, also if only now and then, or that a debugger holds (state t, not T: proc(5)).
//   - The process that was looked at is the one that is ended (pidfd_open(2)), also where its id has become another's.
//     One that goes on in the microseconds after the last look is ended all the same: that is kill -9 of a node.
//   - The file is never opened for it: whoever closes a file lets go of all locks of its process on it, SQLite's too.
//     The lock is asked for on a descriptor that SQLite has open.
//
// Not promised: anything on systems other than Linux, or about a process that this one can't see, as in another
// container.
package stopped

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

const (
	lookInterval = 250 * time.Millisecond
	// enough is how often in a row a process is seen stopped before it counts as that. It is looks that
	// count and not time, so that who was stopped together with the others, and goes on first, gives them theirs.
	enough = 5
	// apart is the time between two looks from which on they are not in a row.
	apart = 3 * time.Second
)

// A span is bytes of a file that SQLite locks.
type span struct{ start, length int64 }

// Which are locked meanwhile (sqlite.org/walformat.html, sqlite.org/lockingv3.html).
var (
	// Whoever writes to a write-ahead log has this, of the file of its index.
	inIndex = []span{{120, 1}}
	// Without a log it is this, of the database itself; and whoever reads has the second, which keeps
	// others from their commits.
	inDatabase = []span{{1 << 30, 2}, readers}
	// Beside a log, whoever has read or written once keeps that until it closes the file.
	readers = span{1<<30 + 2, 510}
)

// A Watch looks who keeps this process from a file. Show, During and Had are called one after the other.
type Watch struct {
	file string
	log  *slog.Logger
	sign *sign // nil until this process is a node

	seen  process // at the last look
	times int     // in a row that it was seen so
	at    time.Time
	told  bool // of it
}

// A process is one that was looked at. No other is ever equal to it, nor is it to itself once it has run for a while: what
// is stopped and let go on again and again, to slow it down, does not count as stopped.
type process struct {
	id      int
	started uint64 // in ticks of the system's clock since that began
	ran     uint64 // in ticks of processor time
	name    string
	state   byte
}

// On returns a watch of the SQLite file, which looks at nothing before Show.
func On(file string, log *slog.Logger) *Watch {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // as SQLite does
	}
	if whole, err := filepath.Abs(file); err == nil {
		file = whole
	}
	return &Watch{file: file, log: log}
}

// Show makes this process one that others know as a node of the file, until Close, and lets it look.
func (w *Watch) Show() (err error) {
	if w.sign == nil && able {
		w.sign, err = show(w.file, w.file+"-onebeat-nodes.lock")
	}
	return err
}

// Close takes the sign away. It is to be called when all other calls have returned.
func (w *Watch) Close() {
	if w.sign != nil {
		w.sign.hide()
		w.sign = nil
	}
}

// During calls wait, which waits for the file, and returns what that does; meanwhile it looks who has it.
func (w *Watch) During(wait func() error) error {
	if w.sign == nil {
		return wait()
	}
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	defer looking.Wait()
	defer close(done)
	return wait()
}

// Had says that this process had the file: nobody keeps it from it any more.
func (w *Watch) Had() { w.seen, w.times, w.told = process{}, 0, false }

// Alone says that no other process has the file open, so that nobody waits for it. It is false where the system does not
// tell, before Show, and where there is no write-ahead log: there, those who wait have no lock meanwhile.
func (w *Watch) Alone() bool {
	if w.sign == nil {
		return false
	}
	if _, ok := descriptor(w.file + "-shm"); !ok {
		return false
	}
	fd, ok := descriptor(w.file)
	return ok && isFree(fd, readers)
}

// look ends who has the file, or tells of it, once it has been seen stopped often enough.
func (w *Watch) look() {
	holder, ok := w.holder()
	if !ok {
		w.times = 0
		return
	}
	if holder.id != w.seen.id || holder.started != w.seen.started {
		w.told = false
	}
	now := time.Now()
	if holder != w.seen || now.Sub(w.at) > apart {
		w.times = 0
	}
	w.seen, w.at = holder, now
	if w.times++; w.times < enough || w.told {
		return
	}
	err := w.end(holder)
	log := w.log.With("program", holder.name, "pid", holder.id)
	switch {
	case errors.Is(err, errMoved):
		w.times = 0
		return
	case errors.Is(err, errForeign):
		log.Warn("a program was stopped while it had the database's file locked, which keeps this node waiting: let it go on (kill -CONT and its pid), or end it")
	case err != nil:
		log.Warn("a node was stopped while it had the database's file locked, and this one may not end it: let it go on (kill -CONT and its pid), or end it", "err", err)
	default:
		log.Warn("a node was stopped while it had the database's file locked, which kept this one waiting: it is ended, as by kill -9, and what it had claimed goes on")
	}
	w.told = true
}

// holder is a process that is stopped and keeps this one from the file.
func (w *Watch) holder() (process, bool) {
	fd, ok := descriptor(w.file + "-shm") // SQLite has it open where there is a write-ahead log
	spans := inIndex
	if !ok {
		fd, ok = descriptor(w.file)
		spans = inDatabase
	}
	if !ok {
		return process{}, false
	}
	for _, s := range spans {
		id := holderOf(fd, s)
		if id <= 0 { // nobody, or one in another namespace or on another machine
			continue
		}
		if p, ok := processOf(id); ok && p.state == 'T' {
			return p, true
		}
	}
	return process{}, false
}

var (
	errForeign = errors.New("it is no node of this file")
	errMoved   = errors.New("it is not what it was")
)

// end ends the process, if it is a node of the file and all else is as it was.
func (w *Watch) end(holder process) error {
	if !w.sign.of(holder.id) {
		return errForeign
	}
	return kill(holder.id, func() bool {
		again, ok := w.holder()
		return ok && again == holder && w.sign.of(holder.id)
	})
}
