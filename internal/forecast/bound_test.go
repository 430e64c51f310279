package forecast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A counted is a spec that tells of each call of Next.
type counted struct {
	schedule.Spec
	name string
	next func()
}

func (c counted) Next(t time.Time) time.Time {
	c.next()
	return c.Spec.Next(t)
}

func (c counted) String() string { return c.name }

// Who asked may have gone while the worst seconds are named, each of which looks at all specs.
func TestAReportEndsWithItsContext(t *testing.T) {
	const specs = 100
	every, err := schedule.NewEvery(time.Second, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	naming, after := false, 0
	next := func() {
		if naming {
			cancel()
			after++
		}
	}
	from := time.Date(2026, time.November, 26, 0, 0, 0, 0, time.UTC)
	count := forecast.New(from, from, 50*time.Second)
	for i := range specs {
		count.Add(forecast.Entry{Name: fmt.Sprint(i), Spec: counted{every, fmt.Sprint(i), next}})
	}
	_, err = count.Report(ctx, 50, func(done, all int) { naming = done == all })
	if !errors.Is(err, context.Canceled) || after > 2*specs {
		t.Errorf("Report = %v after %d more looks at specs, want context.Canceled after those of a second, %d", err, after, specs)
	}
}

// Nor is much looked at after that of entries whose runs are counted, or that have a slot a second for a month.
func TestACountEndsWithItsContext(t *testing.T) {
	every, err := schedule.NewEvery(time.Second, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, time.November, 26, 0, 0, 0, 0, time.UTC)
	for _, left := range []int64{0, 1_000_000_000} {
		ctx, cancel := context.WithCancel(t.Context())
		looks, after := 0, 0
		next := func() {
			if looks++; looks > 10_000 {
				cancel()
				after++
			}
		}
		count := forecast.New(from, from, forecast.Most)
		for i := range 3 {
			count.Add(forecast.Entry{Name: fmt.Sprint(i), Spec: counted{every, fmt.Sprint(i), next}, Left: left})
		}
		if looks > 0 {
			t.Errorf("with %d slots left, %d were looked at before it was asked for a report", left, looks)
		}
		if _, err := count.Report(ctx, 1, func(int, int) {}); !errors.Is(err, context.Canceled) || after > 1000 {
			t.Errorf("with %d slots left, Report = %v after %d more slots, want context.Canceled after few", left, err, after)
		}
	}
}
