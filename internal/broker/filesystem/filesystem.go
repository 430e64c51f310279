// Package filesystem sends Celery's task messages as files in a folder, as kombu's
// filesystem transport reads them (kombu 5.7, transport/filesystem.py).
//
// A message is a file <data_folder_out>/<milliseconds>_<place>_<task id>.<queue>.msg;
// readers take files in order of their names. It appears there by a rename, so that
// nobody reads half a message.
//
// What has been sent is kept beside the messages, in a folder of onebeat's own:
//
//	.onebeat-<installation>-<shard>/
//	    term-7/          the term that may publish; Take renames it
//	        mark         how far publishing has got
//	        next-…/      a part that is being written
//	        part/        a part that is being delivered, with its own mark
//
// A part is written aside and committed by the rename of next-… to part. From then
// on it is delivered for certain: each message by a rename out of the folder, which
// happens once, by whoever holds the term; last the part's mark takes the place of
// the one before. A node whose term is over no longer finds its folder. That makes
// publishing exactly once, through crashes and for a frozen node that goes on, and
// no lock is held that a frozen node could keep.
//
// Files are flushed to the disk before the commit. A power cut may take back renames
// of the last moments that a worker had seen already: then those messages come again,
// with the same task ids.
package filesystem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/uuid/v5"
	"golang.org/x/sys/unix"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// Options are what Open needs beside the URL.
type Options struct {
	Installation string
	Shard        int
	Transport    map[string]any // broker_transport_options
}

// A Broker publishes for one shard.
type Broker struct {
	out     string // data_folder_out
	control string // control_folder
	own     string // onebeat's own folder

	stamp  int64           // the last part's milliseconds
	broken map[string]bool // exchanges whose bindings could not be read

	// last is what the last part came to, if it was committed: the caller may ask again.
	last outcome
}

// An outcome is what a part came to.
type outcome struct {
	mark     celery.Mark
	failures []celery.Failure
}

// The names in onebeat's own folder.
const (
	termPrefix = "term-"
	nextPrefix = "next-"
	deadPrefix = "dead-"
	partName   = "part"
	markName   = "mark"
)

// Open reads the URL, which says nothing, and the options. The folders may be made later.
func Open(rawURL string, options Options) (*Broker, error) {
	_, rest, _ := strings.Cut(strings.TrimSpace(rawURL), "://")
	if host := strings.TrimRight(rest, "/"); host != "" && host != "localhost" {
		return nil, errors.New("the broker URL should be filesystem:// alone: the folder that messages go to is data_folder_out in broker_transport_options")
	}
	b := &Broker{out: "data_out", control: "control", broken: map[string]bool{}} // kombu's defaults
	for option, folder := range map[string]*string{"data_folder_out": &b.out, "control_folder": &b.control} {
		switch value := options.Transport[option].(type) {
		case nil:
		case string:
			*folder = value
		default:
			return nil, fmt.Errorf("broker_transport_options %s: %v is no path", option, value)
		}
		absolute, err := filepath.Abs(*folder)
		if err != nil {
			return nil, fmt.Errorf("broker_transport_options %s: %w", option, err)
		}
		*folder = absolute
	}
	b.own = filepath.Join(b.out, fmt.Sprintf(".onebeat-%s-%d", options.Installation, options.Shard))
	return b, nil
}

// String is the URL.
func (b *Broker) String() string { return "filesystem://" }

// Ping returns nil if the folder is there and can be written to.
func (b *Broker) Ping(context.Context) error {
	info, err := os.Stat(b.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("filesystem: the folder %s is not there: make it, or name another as data_folder_out in broker_transport_options", b.out)
	case err != nil:
		return fmt.Errorf("filesystem: %w", err)
	case !info.IsDir():
		return fmt.Errorf("filesystem: %s is no folder", b.out)
	case unix.Access(b.out, unix.W_OK|unix.X_OK) != nil:
		return fmt.Errorf("filesystem: the folder %s cannot be written to by this user", b.out)
	}
	return nil
}

// Release does nothing: the next Take needs nobody's leave.
func (b *Broker) Release() {}

// Close does nothing: no file is kept open.
func (b *Broker) Close() error { return nil }

// Take makes the folder that lower terms publish from another's, delivers what they
// had committed, and returns the mark.
func (b *Broker) Take(ctx context.Context, term int64) (celery.Mark, error) {
	if err := failpoint.Here("filesystem.take.before"); err != nil {
		return celery.Mark{}, err
	}
	err := b.Ping(ctx)
	if err == nil {
		err = ctx.Err()
	}
	var mark celery.Mark
	if err == nil {
		mark, err = b.take(term)
	}
	if err == nil {
		err = failpoint.Here("filesystem.take.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return celery.Mark{}, celery.ErrFenced
	}
	if err != nil {
		return celery.Mark{}, fmt.Errorf("filesystem: take term: %w", err)
	}
	return mark, nil
}

// races is how often a step is tried again that another node came before.
const races = 20

func (b *Broker) take(term int64) (celery.Mark, error) {
	for range races {
		current, found, err := b.current()
		switch {
		case err != nil:
			return celery.Mark{}, err
		case !found:
			if err := b.begin(); err != nil {
				return celery.Mark{}, err
			}
			continue
		case current > term:
			return celery.Mark{}, celery.ErrFenced
		case current < term:
			err := os.Rename(b.folder(current), b.folder(term))
			if errors.Is(err, fs.ErrNotExist) {
				continue // another took it
			}
			if err != nil {
				return celery.Mark{}, err
			}
			if err := failpoint.Here("filesystem.take.renamed"); err != nil {
				return celery.Mark{}, err
			}
		}
		if err := b.discard(term); err != nil {
			return celery.Mark{}, err
		}
		mark, err := b.finish(term)
		mark.Term = current // what was refused until now
		return mark, err
	}
	return celery.Mark{}, fmt.Errorf("others change %s all the time", b.own)
}

func (b *Broker) folder(term int64) string {
	return filepath.Join(b.own, termPrefix+strconv.FormatInt(term, 10))
}

// current is the term that may publish; none before the first Take.
func (b *Broker) current() (term int64, found bool, err error) {
	entries, err := os.ReadDir(b.own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false, err
	}
	for _, entry := range entries {
		text, ours := strings.CutPrefix(entry.Name(), termPrefix)
		if n, err := strconv.ParseInt(text, 10, 64); ours && err == nil {
			term, found = max(term, n), true
		}
	}
	return term, found, nil
}

// begin makes onebeat's own folder with the term 0 in it, unless another does.
func (b *Broker) begin() error {
	name, err := uuid.NewV4()
	if err != nil {
		return err
	}
	aside := b.own + ".new-" + name.String()
	if err := os.MkdirAll(filepath.Join(aside, termPrefix+"0"), 0o777); err != nil {
		return err
	}
	if err := os.Rename(aside, b.own); err != nil {
		return errors.Join(os.RemoveAll(aside), ifOther(err, fs.ErrExist, unix.ENOTEMPTY))
	}
	return nil
}

// ifOther is err, or nil if it is one of those that are expected.
func ifOther(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// discard removes parts that were never committed. Each is renamed first: its node
// may be about to commit it, and only one of the two renames can happen.
func (b *Broker) discard(term int64) error {
	folder := b.folder(term)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, next := strings.CutPrefix(entry.Name(), nextPrefix)
		if !next && !strings.HasPrefix(entry.Name(), deadPrefix) {
			continue
		}
		dead := filepath.Join(folder, entry.Name())
		if next {
			dead = filepath.Join(folder, deadPrefix+name)
			if err := os.Rename(filepath.Join(folder, entry.Name()), dead); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					continue // it was committed
				}
				return err
			}
		}
		if err := os.RemoveAll(dead); err != nil {
			return err
		}
	}
	return nil
}

// finish delivers the part that was committed, if there is one, and returns the mark
// that holds then. It may be called again after an error.
func (b *Broker) finish(term int64) (celery.Mark, error) {
	part := filepath.Join(b.folder(term), partName)
	entries, err := os.ReadDir(part) // in order of name
	if errors.Is(err, fs.ErrNotExist) {
		return b.mark(term)
	}
	if err != nil {
		return celery.Mark{}, err
	}
	for _, entry := range entries {
		if entry.Name() == markName {
			continue
		}
		if err := deliver(filepath.Join(part, entry.Name()), filepath.Join(b.out, entry.Name())); err != nil {
			return celery.Mark{}, err
		}
		if err := failpoint.Here("filesystem.publish.moved"); err != nil {
			return celery.Mark{}, err
		}
	}
	if err := flush(b.out); err != nil {
		return celery.Mark{}, err
	}
	if err := ifOther(os.Rename(filepath.Join(part, markName), filepath.Join(b.folder(term), markName)), fs.ErrNotExist); err != nil {
		return celery.Mark{}, err
	}
	if err := failpoint.Here("filesystem.publish.marked"); err != nil {
		return celery.Mark{}, err
	}
	if err := ifOther(os.Remove(part), fs.ErrNotExist); err != nil {
		return celery.Mark{}, err
	}
	return b.mark(term)
}

// deliver moves a message out, unless that was done: by a node that froze as it did
// it, or by the one that took over.
func deliver(from, to string) error {
	err := os.Rename(from, to)
	if _, gone := os.Lstat(from); errors.Is(err, fs.ErrNotExist) && errors.Is(gone, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mark reads the mark; zero if there is none yet.
func (b *Broker) mark(term int64) (mark celery.Mark, err error) {
	text, err := os.ReadFile(filepath.Join(b.folder(term), markName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(b.folder(term)); err != nil {
			return celery.Mark{}, err // the term is over
		}
		return celery.Mark{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &mark)
	}
	return mark, err
}
