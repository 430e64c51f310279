package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/measure"
	"github.com/onebeat/onebeat/internal/store"
)

//go:embed *.py
var modules embed.FS

// A beat is another scheduler that is measured beside onebeat.
type beat struct {
	name    string // for people
	module  string // of its application
	options []string
	dist    string // whose version is told
	python  func(*bench) string
	fills   bool // its module fills a store
}

// The schedulers that onebeat takes the place of, by the names of their lines.
var beats = map[string]beat{
	"beat": {name: "celery beat, Redis", module: "celery_beat", dist: "celery", python: func(b *bench) string { return b.python }},
	"django": {
		name: "django-celery-beat, PostgreSQL + Redis", module: "django_beat", dist: "django-celery-beat", fills: true,
		options: []string{"-S", "django_celery_beat.schedulers:DatabaseScheduler"}, python: func(b *bench) string { return b.django },
	},
	"redbeat": {
		name: "RedBeat, Redis", module: "redbeat_beat", dist: "celery-redbeat", fills: true,
		options: []string{"-S", "redbeat.RedBeatScheduler"}, python: func(b *bench) string { return b.redbeat },
	},
}

// beatPatience bounds the time that a beat may take to its first message: some load
// 100,000 entries in half a minute, and more where others keep the machine busy.
const beatPatience = 3 * time.Minute

// beat measures another scheduler for at most window from its first message.
func (b *bench) beat(ctx context.Context, kind beat, entries int, window time.Duration) (result Herd, err error) {
	python := kind.python(b)
	version, err := exec.CommandContext(ctx, python, "-c", "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))", kind.dist).Output()
	if err != nil {
		return result, fmt.Errorf("ask %s for %s: %w; `make deps` installs it", python, kind.dist, err)
	}
	result = Herd{Scheduler: kind.name + " (" + strings.TrimSpace(string(version)) + ")", Burst: measure.Burst{Entries: entries}}
	dir, err := os.MkdirTemp("", "onebeat-bench-beat-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, modules); err != nil {
		return result, err
	}
	queue := measure.Name()
	sink, err := broker.OpenSink(ctx, b.redis, queue, broker.Options{})
	if err != nil {
		return result, err
	}
	defer func() { _ = sink.Close() }()

	length := 5 * time.Second // until the slot
	if kind.fills {
		length += time.Duration(entries) * 2 * time.Millisecond
	}
	slot := time.Now().Add(length).Truncate(time.Second)
	environ := append(os.Environ(), "BENCH_BROKER="+b.redis, "BENCH_QUEUE="+queue, "BENCH_ENTRIES="+strconv.Itoa(entries), "BENCH_SLOT="+strconv.FormatInt(slot.Unix(), 10))
	if kind.module == "django_beat" {
		scratch, err := store.NewScratch(ctx, b.postgres, queue)
		if err != nil {
			return result, err
		}
		defer func() { _ = scratch.Drop(context.WithoutCancel(ctx)) }() // the server is a test's
		environ = append(environ, "BENCH_DATABASE="+scratch.URL)
	}
	run := func(ctx context.Context, module, verb string) error {
		cmd := exec.CommandContext(ctx, python, module+".py", verb)
		cmd.Dir, cmd.Env = dir, environ
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", module, verb, err, out)
		}
		return nil
	}
	defer func() { err = errors.Join(err, run(context.WithoutCancel(ctx), "beat", "remove")) }()
	if kind.fills {
		if err := run(ctx, kind.module, "fill"); err != nil {
			return result, err
		}
	}
	command := append([]string{python, "-m", "celery", "-A", kind.module, "beat", "-s", filepath.Join(dir, "schedule"), "--pidfile="}, kind.options...)
	p, err := measure.Launch(command, environ, dir, filepath.Join(dir, "log"))
	if err != nil {
		return result, err
	}
	defer p.Kill()
	err = watch(ctx, p, sink, slot, window, &result)
	return result, err
}

// watch fills in what is seen of a beat from outside.
func watch(ctx context.Context, p *measure.Process, sink broker.Sink, slot time.Time, window time.Duration, result *Herd) error {
	select {
	case <-time.After(time.Until(slot)):
	case <-ctx.Done():
		return ctx.Err()
	}
	began, err := measure.Observe(ctx, sink.Length, 1, beatPatience, time.Second)
	if err != nil {
		return p.Explain(err)
	}
	spent := p.CPU()
	result.Memory, _ = p.Memory()
	seen, err := measure.Observe(ctx, sink.Length, result.Entries, window, window)
	if err != nil {
		return p.Explain(err)
	}
	result.CPU = (p.CPU() - spent) / time.Duration(max(seen.Count-began.Count, 1))
	_, result.Peak = p.Memory()
	from := slot
	if began.First.After(slot.Add(time.Second)) { // it was not ready at the slot
		from = began.First
	}
	result.Sent, result.First = seen.Count, began.First.Sub(slot)
	result.Last = seen.Last.Sub(from)
	result.Seen = result.Last
	result.Rate = float64(seen.Count) / result.Last.Seconds()
	return nil
}
