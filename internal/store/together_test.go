package store

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A heldTx finds the row b held for as long as the test says.
type heldTx struct {
	transaction
	until time.Time
	asked [][]string
}

func (tx *heldTx) each(_ context.Context, _ string, row func(scanner) error, args ...any) error {
	ids := args[0].([]string)
	tx.asked = append(tx.asked, slices.Clone(ids))
	for _, id := range ids {
		if id != "b" || !time.Now().Before(tx.until) {
			if err := row(idAnswer(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// A row that is held is waited for as long as an edit takes, and if that was in vain, for a
// while not at all; where nothing but the record waits, or there is no such row any more, not either.
func TestMessagesWaitForARowForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Shard{store: &Store{dialect: dialect{name: "postgres"}, log: slog.New(slog.DiscardHandler)}}
		messages := &recording{Shard: s, with: func(Tx, func([]schedule.Run) error) error { return nil }}
		removed := []schedule.Run{{Entry: "a", State: schedule.Sent}, {Entry: "b", State: schedule.Skipped, Reason: schedule.ReasonRemoved}}
		for _, step := range []struct {
			name   string
			r      *recording
			after  time.Duration // since the step before
			held   time.Duration
			waited time.Duration
			got    bool
		}{
			{"let go of soon", messages, 0, 12 * time.Millisecond, 15 * time.Millisecond, true},
			{"held for long", messages, 0, time.Hour, heldPatience, false},
			{"held on", messages, heldFor - time.Second, time.Hour, 0, false},
			{"held on, of an entry that has ended", messages, 0, 12 * time.Millisecond, 15 * time.Millisecond, true},
			{"held again", messages, 2 * time.Second, 12 * time.Millisecond, 15 * time.Millisecond, true},
			{"of a record alone", &recording{Shard: s}, 0, time.Hour, 0, false},
			{"gone, with its entry", &recording{Shard: s, with: messages.with, runs: removed}, 2 * heldFor, time.Hour, 0, false},
			{"held, after one was gone", messages, 0, 12 * time.Millisecond, 15 * time.Millisecond, true},
		} {
			time.Sleep(step.after)
			began, got := time.Now(), map[string]bool{}
			tx := &heldTx{until: began.Add(step.held)}
			if err := step.r.lock(t.Context(), tx, []string{"a", "b"}, got, strings.HasSuffix(step.name, "ended")); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited != step.waited || got["b"] != step.got || !got["a"] {
				t.Errorf("%s: waited %v and got %v; want %v and the row: %v", step.name, waited, got, step.waited, step.got)
			}
			if len(tx.asked) > 1 && !slices.Equal(tx.asked[1], []string{"b"}) {
				t.Errorf("%s: asked again for %v, want the row that was held", step.name, tx.asked[1])
			}
		}
	})
}
