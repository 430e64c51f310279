package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Of more entries than can be read in time, those that were read make a herd too.
func TestAHerdIsToldOfByWhatWasRead(t *testing.T) {
	was := herdPatience
	defer func() { herdPatience = was }()
	herdPatience = time.Millisecond
	nine, err := schedule.ParseSpec("0 9 * * *", "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	e := forecast.Entry{Name: "e", Spec: nine}
	read := func(n int, end func(ctx context.Context) error) (string, error) {
		return herdWith(t.Context(), e, nil, func(ctx context.Context, each func(forecast.Entry)) error {
			for range n {
				each(e)
			}
			return end(ctx)
		})
	}
	late := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	if note, err := read(herdFrom, late); err != nil || !strings.HasPrefix(note, "10001 slots or more come in the second of ") {
		t.Errorf("herdWith = %q, %v; want a herd of 10001 or more", note, err)
	}
	if note, err := read(herdFrom-2, late); err != nil || note != "" {
		t.Errorf("herdWith = %q, %v; want nothing", note, err)
	}
	herdPatience = time.Minute // which does not end by itself
	gone := errors.New("gone")
	if note, err := read(herdFrom, func(context.Context) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("herdWith = %q, %v; want what reading ended with", note, err)
	}
}
