package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/onebeat/onebeat/internal/app"
)

// profiled is this command's verb that stands in for `onebeat serve`.
const profiled = "profiled"

// runProfiled is the daemon with its settings from the environment. It writes
// load.prof, a CPU profile from its start until SIGUSR1, and heap.prof of that
// moment; then herd.prof, until its end, with block.prof, mutex.prof and end.prof of
// that moment: what was allocated in between is the difference of the two
// (pprof -diff_base).
func runProfiled(dir string) error {
	config, err := app.Load(nil, os.Getenv, os.Environ())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGUSR1)
	end, err := profile(filepath.Join(dir, "load.prof"))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, config, app.NewLogger(config, os.Stderr)) }()
	for {
		select {
		case <-now:
			err := errors.Join(end(), heap(filepath.Join(dir, "heap.prof")))
			if err == nil {
				runtime.SetBlockProfileRate(int(time.Microsecond))
				runtime.SetMutexProfileFraction(10)
				end, err = profile(filepath.Join(dir, "herd.prof"))
			}
			if err != nil {
				return err
			}
		case err := <-done:
			return errors.Join(err, end(), waits(dir, "block"), waits(dir, "mutex"), heap(filepath.Join(dir, "end.prof")))
		}
	}
}

// profile starts a CPU profile, and returns what ends it.
func profile(name string) (end func() error, err error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, fmt.Errorf("profile: %w", errors.Join(err, file.Close()))
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// waits writes where goroutines waited, by the name of a profile of the runtime's.
func waits(dir, name string) error {
	file, err := os.Create(filepath.Join(dir, name+".prof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(file, 0), file.Close())
}

// heap writes what is held in memory.
func heap(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.WriteHeapProfile(file), file.Close())
}
