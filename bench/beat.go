package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/test/harness/process"
)

//go:embed beat.py
var beatText string

// beatPatience bounds the time that beat may take to its first message: it loads
// 100,000 entries in half a minute.
const beatPatience = 90 * time.Second

// beat measures Celery's own beat, with its default scheduler and the Redis
// broker, for at most window from its first message.
func (b *bench) beat(ctx context.Context, entries int, window time.Duration) (Herd, error) {
	version, err := b.celery(ctx)
	if err != nil {
		return Herd{}, err
	}
	result := Herd{Scheduler: "celery beat " + version + ", Redis", Entries: entries}
	dir, err := os.MkdirTemp("", "onebeat-bench-beat-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "herd.py"), []byte(beatText), 0o600); err != nil {
		return result, err
	}
	name := newName()
	q, err := newRedisQueue(b.redis, name, func() string { return "" })
	if err != nil {
		return result, err
	}
	defer q.remove()
	slot := time.Now().Add(5 * time.Second).Truncate(time.Second)
	p, err := process.Start(process.Command{
		Path: b.python, Args: []string{"-m", "celery", "-A", "herd", "beat", "-s", filepath.Join(dir, "schedule"), "--pidfile="},
		Dir: dir, Log: filepath.Join(dir, "log"),
		Env: []string{
			"BENCH_BROKER=" + b.redis, "BENCH_QUEUE=" + name, "BENCH_ENTRIES=" + strconv.Itoa(entries),
			"BENCH_SLOT=" + strconv.FormatInt(slot.Unix(), 10),
		},
	})
	if err != nil {
		return result, err
	}
	defer p.Kill()
	began, err := observe(ctx, q, 1, slot, beatPatience, time.Second)
	if err != nil {
		return result, fmt.Errorf("%w\n%s", err, p.Tail(20))
	}
	spent, err := cpu(p.PID())
	if err != nil {
		return result, err
	}
	if result.Memory, err = memory(p.PID(), resident); err != nil {
		return result, err
	}
	seen, err := observe(ctx, q, entries, began.first, window, window)
	if err != nil {
		return result, err
	}
	all, err := cpu(p.PID())
	if err != nil {
		return result, err
	}
	if result.Peak, err = memory(p.PID(), peak); err != nil {
		return result, err
	}
	from := slot
	if began.first.After(slot.Add(time.Second)) { // it was not ready at the slot
		from = began.first
	}
	result.Sent, result.First = seen.count, began.first.Sub(from)
	result.Last = seen.last.Sub(from)
	result.Seen = result.Last
	result.Rate = float64(seen.count) / result.Last.Seconds()
	result.CPU = (all - spent) / time.Duration(max(seen.count-began.count, 1))
	return result, nil
}

// celery is the version that the Python has.
func (b *bench) celery(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, b.python, "-c", "import celery; print(celery.__version__)").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its Celery: %w", b.python, err)
	}
	return strings.TrimSpace(string(out)), nil
}
