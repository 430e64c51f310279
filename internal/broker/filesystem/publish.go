package filesystem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/uuid/v5"
	"golang.org/x/sys/unix"

	"github.com/onebeat/onebeat/internal/broker/virtual"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// Publish writes a part aside, commits it and delivers it. A PublishError of it is
// never Unsure.
func (b *Broker) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	err := failpoint.Here("filesystem.publish.before")
	if err == nil {
		err = ctx.Err()
	}
	var failures []celery.Failure
	if err == nil {
		failures, err = b.publish(part)
	}
	if err == nil {
		err = failpoint.Here("filesystem.publish.after")
	}
	if err != nil && b.over(part.Mark.Term) {
		return nil, celery.ErrFenced // which is why a folder was not found
	}
	if err != nil {
		return nil, &celery.PublishError{Err: fmt.Errorf("filesystem: %w", err)}
	}
	return failures, nil
}

// over reports whether a higher term was taken.
func (b *Broker) over(term int64) bool {
	current, found, err := b.current()
	return err == nil && found && current > term
}

func (b *Broker) publish(part celery.Part) ([]celery.Failure, error) {
	term := part.Mark.Term
	mark, err := b.take(term) // delivers what an attempt before has left
	if err != nil {
		return nil, err
	}
	messages, covered := virtual.Rest(mark, part)
	if covered {
		if b.last.mark == part.Mark {
			return b.last.failures, nil
		}
		return nil, nil
	}
	name, err := uuid.NewV4()
	if err != nil {
		return nil, err
	}
	next := filepath.Join(b.folder(term), nextPrefix+name.String())
	failures, err := b.write(next, part, messages)
	if err == nil {
		err = failpoint.Here("filesystem.publish.written")
	}
	if err == nil {
		err = os.Rename(next, filepath.Join(b.folder(term), partName))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(next))
	}
	b.last = outcome{part.Mark, failures}
	if err := flush(b.folder(term)); err != nil {
		return nil, err
	}
	if err := failpoint.Here("filesystem.publish.committed"); err != nil {
		return nil, err
	}
	_, err = b.finish(term)
	return failures, err
}

// write writes the files of a part, and its mark, to the disk.
func (b *Broker) write(folder string, part celery.Part, messages []celery.Message) (failures []celery.Failure, err error) {
	if err := os.Mkdir(folder, 0o777); err != nil {
		return nil, err
	}
	if b.stamp, err = b.after(b.stamp); err != nil {
		return nil, err
	}
	tables := map[string]table{}
	var envelope []byte
	for _, m := range messages {
		queues, reason := b.queues(m.Template.Route(), tables)
		if envelope, err = virtual.Envelope(envelope[:0], m); err != nil {
			return nil, err
		}
		for _, queue := range queues {
			name := fmt.Sprintf("%d_%06d_%s.%s.msg", b.stamp, m.Index, plain(m.ID), queue)
			if reason = unnameable(queue, name); reason != "" {
				break
			}
			if err := os.WriteFile(filepath.Join(folder, name), envelope, 0o666); err != nil {
				return nil, err
			}
		}
		if reason != "" {
			failures = append(failures, celery.Failure{Index: m.Index, Reason: reason})
		}
	}
	text, err := json.Marshal(part.Noting(failures))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, markName), text, 0o666); err != nil {
		return nil, err
	}
	return failures, flushAll(folder)
}

// after is the time in milliseconds as kombu's producers name files by it, the
// machine's uptime; later than the part before, so that readers keep to the order.
func (b *Broker) after(before int64) (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return max(before+1, now.Nano()/1_000_000), nil
}

// plain is a task id as a part of a file's name: kombu takes all behind the first
// dot for the queue.
func plain(id string) string {
	if ok := plainID.MatchString(id); ok {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// unnameable is why a queue's files can have no name.
func unnameable(queue, name string) string {
	switch {
	case queue == "" || strings.ContainsAny(queue, "/\x00"):
		return fmt.Sprintf("queue %.40q cannot be in a file's name", queue)
	case len(name) > 255:
		return fmt.Sprintf("queue %.40q… is too long for a file's name", queue)
	}
	return ""
}

// queues returns the queues that a message goes to, or why there is none. Workers
// of kombu 5.3 and later write the bindings of named exchanges down.
func (b *Broker) queues(route celery.Route, tables map[string]table) (queues []string, reason string) {
	bindings := virtual.Bindings(route)
	if route.Exchange != "" {
		written, known := tables[route.Exchange]
		if !known {
			written = b.table(route.Exchange)
			tables[route.Exchange] = written
		}
		if written.reason != "" {
			return nil, written.reason
		}
		bindings = append(bindings, written.bindings...)
	}
	if queues = virtual.Queues(route, bindings); len(queues) == 0 {
		reason = fmt.Sprintf("no queue is bound to exchange %q with a key that matches %q: start the worker that reads it, with the same control_folder (%s)",
			route.Exchange, route.RoutingKey, b.control)
	}
	return queues, reason
}

// exchangeName is what kombu takes for the name of a file.
var exchangeName = regexp.MustCompile(`^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

// A table is the bindings of an exchange as they are written down, or why they cannot be read.
type table struct {
	bindings []virtual.Binding
	reason   string
}

// How long bindings are waited for that cannot be read, and how long between two looks: kombu makes the
// file before it locks and fills it. Where one died or froze at that, it is not waited for again.
const (
	tableWait = 500 * time.Millisecond
	tablePoll = 10 * time.Millisecond
)

// table reads the bindings of an exchange.
func (b *Broker) table(exchange string) table {
	if !exchangeName.MatchString(exchange) {
		return table{}
	}
	path := filepath.Join(b.control, exchange+".exchange")
	over := time.Now().Add(tableWait)
	for {
		patient := !b.broken[exchange] && time.Now().Before(over)
		bindings, err := readTable(path, patient)
		if err == nil {
			delete(b.broken, exchange)
			return table{bindings: bindings}
		}
		if !patient {
			b.broken[exchange] = true
			return table{reason: fmt.Sprintf("the bindings of exchange %s cannot be read (%v): mend or remove %s, and start its workers anew", exchange, err, path)}
		}
		time.Sleep(tablePoll)
	}
}

// readTable reads a list of routing key, pattern and queue, none if there is no file. kombu writes
// it under a lock: whoever is patient finds that taken, others read what is there.
func readTable(path string, patient bool) (bindings []virtual.Binding, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil && patient {
		return nil, err
	}
	var rows [][]string
	if err := json.NewDecoder(file).Decode(&rows); err != nil {
		return nil, err
	}
	for _, row := range rows {
		if len(row) == 3 {
			bindings = append(bindings, virtual.Binding{Key: row[0], Queue: row[2]})
		}
	}
	return bindings, nil
}

// flush writes a folder's names to the disk.
func flush(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
