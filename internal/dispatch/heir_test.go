package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// What was sent is recorded before planning begins where nodes that were lost one after another would leave ever more of it, and
// of an entry that may come back with a limit: by what is on record it would have as many runs left as before.
func TestWhatIsRecordedBeforePlanning(t *testing.T) {
	for _, tt := range []struct {
		name    string
		batches int
		each    int    // slots of a batch
		off     string // why the entry of slot 20,500 has no definition; the others are gone
		want    int    // recorded
	}{
		{"as much as a node may leave", 40, 1000, "", 0},
		{"more than two may leave", 1400, 1, "", 1250},
		{"an entry that is gone", 40, 1000, schedule.ReasonRemoved, 0},
		{"a paused entry", 40, 1000, schedule.ReasonPaused, 21_000},
		{"a disabled entry", 40, 1000, schedule.ReasonDisabled, 21_000},
		{"a bad row", 40, 1000, schedule.ReasonBadRow, 21_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &heir{&race{herd: newHerd(t, tt.batches*tt.each), slow: 1}, celery.Mark{Term: 1, Seq: int64(tt.batches), Done: tt.each}}
			present := func(id schedule.ID) schedule.Change {
				change := schedule.Change{ID: id}
				if tt.off != "" && id == h.dues[20_500].Entry.ID {
					change.Reason = tt.off
				}
				return change
			}
			h.done = func() {}
			d := dispatch.New(h, h, h, dispatch.Options{Installation: "heir"})
			if _, err := d.Recover(t.Context(), 2, int64(tt.batches), dispatch.ClaimsOf(journalOf(h.dues, tt.each)), present); err != nil {
				t.Fatal(err)
			}
			if h.recorded != tt.want {
				t.Errorf("%d of %d slots are recorded before planning begins, want %d", h.recorded, len(h.dues), tt.want)
			}
		})
	}
}

// A blocked broker is reached, and takes nothing until all is recorded that it had taken, which is all but the rest.
type blocked struct {
	*heir
	rest int
}

func (b *blocked) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	if b.recorded < len(b.dues)-b.rest {
		return nil, errors.New("the broker is blocked")
	}
	return b.heir.Publish(ctx, part)
}

// Who takes over from a broker that takes no messages for a while records meanwhile what it had taken.
func TestWhoTakesOverRecordsWhileTheBrokerIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const batches, each = 5, 100
		b := &blocked{&heir{&race{herd: newHerd(t, batches*each), slow: 1}, celery.Mark{Term: 1, Seq: batches - 1, Done: each}}, each}
		b.done = func() {}
		spec, err := schedule.ParseSpec("@every 1h", "UTC", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		present := func(id schedule.ID) schedule.Change {
			for _, due := range b.dues {
				if due.Entry.ID == id {
					due.Entry.Spec, due.Entry.After = spec, due.Slot.Add(-time.Second)
					return schedule.Change{ID: id, Entry: due.Entry}
				}
			}
			return schedule.Change{ID: id}
		}
		hold, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		d := dispatch.New(b, b, b, dispatch.Options{Installation: "blocked"})
		_, err = d.Recover(hold, 2, batches, dispatch.ClaimsOf(journalOf(b.dues, each)), present)
		if err != nil || b.published != each {
			t.Errorf("Recover: %v, with %d sent and %d recorded; want the rest sent, which is %d", err, b.published, b.recorded, each)
		}
	})
}
