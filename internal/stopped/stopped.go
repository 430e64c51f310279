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
//   - None is ended that runs, or that a debugger holds (state t, not T: proc(5)).
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
	"os"
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

// A Lock is what a file is waited for.
type Lock struct {
	suffix        string // of the file that has it
	start, length int64  // its bytes
	readers       bool   // those who read keep it, too
}

// SQLite's locks (sqlite.org/walformat.html, sqlite.org/lockingv3.html).
var (
	Log     = Lock{suffix: "-shm", start: 120, length: 1}        // to write to a file that has a write-ahead log
	File    = Lock{start: 1 << 30, length: 2 + 510}              // to write to one that has none
	Readers = Lock{start: 1<<30 + 2, length: 510, readers: true} // to commit there, where nobody may read
)

// A Watch looks who keeps this process from a file. Show, During and Had are called one after the other.
type Watch struct {
	file string
	log  *slog.Logger
	sign *os.File // nil until this process is a node

	seen  process // at the last look
	times int     // in a row that it was seen so
	at    time.Time
	told  bool // of it
}

// A process is one that was looked at; no other is ever equal to it.
type process struct {
	id      int
	started uint64 // in ticks of the system since its start
	name    string
	state   byte
}

// On returns a watch of the SQLite file, which looks at nothing before Show.
func On(file string, log *slog.Logger) *Watch {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // as SQLite does
	}
	return &Watch{file: file, log: log}
}

// Show makes this process one that others know as a node of the file, until Close, and lets it look. The sign is a lock on a
// file beside the database, on the byte whose place is the process's id: it ends with the process, and who asks
// for that byte is told who has it.
func (w *Watch) Show() error {
	if w.sign != nil || !able {
		return nil
	}
	sign, err := os.OpenFile(w.file+signSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := lockByte(sign, int64(os.Getpid())); err != nil {
		_ = sign.Close()
		return err
	}
	w.sign = sign
	return nil
}

const signSuffix = "-onebeat-nodes.lock"

// Close takes the sign away. It is to be called when all other calls have returned.
func (w *Watch) Close() {
	if w.sign != nil {
		_ = w.sign.Close()
		w.sign = nil
	}
}

// During calls wait, which waits for the lock, and returns what that does; meanwhile it looks who has the lock.
func (w *Watch) During(lock Lock, wait func() error) error {
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
				w.look(lock)
			}
		}
	})
	defer looking.Wait()
	defer close(done)
	return wait()
}

// Had says that this process had the lock: nobody keeps it from the file.
func (w *Watch) Had() { w.seen, w.times, w.told = process{}, 0, false }

// look ends who has the lock, or tells of it, once it has been seen stopped often enough.
func (w *Watch) look(lock Lock) {
	holder, ok := w.holder(lock)
	if !ok || holder.state != 'T' {
		w.times = 0
		return
	}
	if holder != w.seen {
		w.times, w.told = 0, false
	}
	now := time.Now()
	if now.Sub(w.at) > apart {
		w.times = 0
	}
	w.seen, w.at = holder, now
	if w.times++; w.times < enough || w.told {
		return
	}
	err := w.end(holder, lock)
	log := w.log.With("program", holder.name, "pid", holder.id)
	switch {
	case errors.Is(err, errAnother):
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

// holder is the process that has the lock; not ok if there is none but this one, or it is not to be seen.
func (w *Watch) holder(lock Lock) (process, bool) {
	id := holderOf(w.file+lock.suffix, lock)
	if id <= 0 {
		return process{}, false
	}
	return processOf(id)
}

var (
	errForeign = errors.New("it is no node of this file")
	errAnother = errors.New("it is not what it was")
)

// end ends the process, if it is a node of the file and all else is as it was.
func (w *Watch) end(holder process, lock Lock) error {
	if !w.signed(holder) {
		return errForeign
	}
	return kill(holder.id, func() bool {
		again, ok := w.holder(lock)
		return ok && again == holder && w.signed(holder)
	})
}

// signed says whether the process shows the sign of a node of the file.
func (w *Watch) signed(p process) bool { return holderOfByte(w.sign, int64(p.id)) == p.id }
