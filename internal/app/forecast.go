package app

import (
	"context"
	"errors"
	"time"

	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// ForecastPatience bounds a forecast: a million entries a minute for a day take some seconds.
const ForecastPatience = 5 * time.Minute

// Forecast counts the slots that entries of the catalog have in the time of the length, at most
// forecast.Most, after from, and names so many of the worst seconds. Entries that are paused, disabled or
// unreadable count as they are: with no slot. What is left to an entry that ends of itself is left from now on. Progress
// is called as forecast.Count's Report calls it.
func Forecast(ctx context.Context, s *store.Store, now, from time.Time, length time.Duration, worst int, progress func(done, all int)) (forecast.Report, error) {
	_, windows, err := s.Windows(ctx)
	if err != nil {
		return forecast.Report{}, err
	}
	count := forecast.New(now, from, length)
	err = s.Outline(ctx, func(row store.Row) {
		if e, ok := Forecasted(row, windows); ok {
			count.Add(e)
		}
	})
	if err != nil {
		return forecast.Report{}, err
	}
	return count.Report(ctx, worst, progress)
}

// Forecasted is what is counted of an entry, outside of windows; false if it has no slots.
func Forecasted(row store.Row, windows *schedule.Windows) (e forecast.Entry, ok bool) {
	if row.Entry == nil {
		return e, false
	}
	return forecast.Entry{Name: row.Name, Spec: windows.Outside(row.Entry), Left: max(row.Limit.Runs-row.Limit.Sent, 0)}, true
}

var errNotReached = errors.New("the database was not reached yet: ask again later")

// Forecast implements web.Node.
func (n *node) Forecast(ctx context.Context, asked web.Forecast) (any, error) {
	if !n.forecasting.TryLock() {
		return nil, web.ErrBusy
	}
	defer n.forecasting.Unlock()
	if len(n.opened()) == 0 {
		return nil, errNotReached
	}
	now := n.clock.Now()
	from := asked.From
	if from.IsZero() {
		from = now
	}
	ctx, cancel := context.WithTimeout(ctx, ForecastPatience)
	defer cancel()
	return Forecast(ctx, n.store, now, from, asked.Next, asked.Worst, func(int, int) {})
}
