package audit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A daily ledger is of one entry, whose slots are settled as they come.
type daily struct {
	spec  schedule.Spec
	start time.Time
	looks atomic.Int64
}

func (d *daily) Subjects(context.Context, schedule.ID, int) ([]schedule.Subject, schedule.ID, error) {
	d.looks.Add(1)
	entry := &schedule.Entry{ID: "e", Name: "entry", Spec: d.spec, After: time.Now()}
	return []schedule.Subject{{ID: "e", Entry: entry, Since: d.start}}, "", nil
}

func (d *daily) Ends(_ context.Context, _ []schedule.ID, from, until time.Time, each func(*schedule.Run) error) error {
	for slot := d.spec.Next(from); !slot.After(until); slot = d.spec.Next(slot) {
		if err := each(&schedule.Run{Entry: "e", Slot: slot, Count: 1, State: schedule.Sent, SentAt: slot}); err != nil {
			return err
		}
	}
	return nil
}

// Where nothing is due for hours a scanner looks some times an hour, and is there in time for
// what comes then.
func TestTheScannerRestsWhileNothingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec, err := schedule.ParseSpec("0 9 * * *", "UTC", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		ledger := &daily{spec: spec, start: time.Now().Add(-48 * time.Hour)}
		scanner := audit.NewScanner(ledger, audit.ScannerOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- scanner.Run(ctx) }()
		time.Sleep(8*time.Hour + 50*time.Minute) // the bubble's clock began at midnight
		if looks := ledger.looks.Load(); looks > 9*15 || looks < 8*12 {
			t.Errorf("%d looks at the ledger in 8 h 50 min in which nothing was due, want one each four minutes", looks)
		}
		time.Sleep(11 * time.Minute) // to a minute after nine
		synctest.Wait()
		if got := scanner.State().Slots; got != 1 {
			t.Errorf("%d slots were judged a minute after one was due, want it", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}
