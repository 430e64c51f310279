package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// What the rules of entries and windows say holds through crashes at the worst
// moments: never a run more than max_runs, rows disabled or deleted with the last, no
// slot on a day off of a calendar, and those in a window skipped with its reason. An
// audit finds all as it should be.
func TestRulesHoldThroughCrashes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, redis)
			s.broker.declare(t, "default")
			days := filepath.Join(s.dir, "days.txt")
			if err := os.WriteFile(days, []byte(time.Now().AddDate(0, 0, -2).Format(time.DateOnly)+".."+time.Now().AddDate(0, 0, 2).Format(time.DateOnly)+" off\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.command(t, "calendars", "import", "now", days)
			s.database.insert(t,
				item{"name": "limited", "cron_expression": "@every 1s", "rules": `{"max_runs": 4}`},
				item{"name": "deleted", "cron_expression": "@every 1s", "rules": `{"max_runs": 4, "then": "delete"}`},
				item{"name": "off", "cron_expression": "@every 1s", "rules": `{"calendars": ["now"]}`},
				item{"name": "held", "cron_expression": "@every 1s", "rules": `{"group": "billing"}`},
				item{"name": "free", "cron_expression": "@every 1s"})

			// Each crash leaves a run that was sent and not recorded, or one that may have been.
			for _, point := range []string{"redis.publish.after", "record.before", "record.commit.before", "record.after"} {
				s.crash(t, point, 2)
			}
			n := s.serve(t)
			harness.Eventually(t, startWait, func() error {
				if enabled := s.rows(t, "limited"); enabled != "0" {
					return fmt.Errorf("limited is enabled %s, want 0", enabled)
				}
				if left := s.rows(t, "deleted"); left != "" {
					return fmt.Errorf("deleted is still there")
				}
				return nil
			})
			s.command(t, "windows", "add", "move", "--group", "billing", "--until", "1h", "--reason", "of disks")
			added := time.Now().Truncate(time.Second).Add(2 * time.Second)
			until(t, added.Add(2*time.Second))
			s.command(t, "windows", "remove", "move")
			last := time.Now().Truncate(time.Second).Add(3 * time.Second)
			s.awaitSent(t, "held", last, startWait)
			s.awaitSent(t, "free", last, startWait)
			n.stop(t)

			count, seen := map[string]int{}, map[string]bool{}
			for _, m := range s.broker.messages(t) {
				if seen[m.ID] {
					t.Errorf("%s came twice for %s", m.Entry, m.Slot)
				}
				seen[m.ID] = true
				count[m.Entry]++
			}
			for entry, want := range map[string]int{"limited": 4, "deleted": 4, "off": 0} {
				if count[entry] != want {
					t.Errorf("%s was sent %d times, want %d", entry, count[entry], want)
				}
			}
			skipped := 0
			for _, r := range s.database.ledger(t) {
				if r.entry == "held" && strings.HasPrefix(r.reason, "window ") {
					skipped++
					if r.state != "skipped" || r.reason != "window move: of disks" {
						t.Errorf("slot %v of the window ended as %s: %q", r.slot, r.state, r.reason)
					}
				}
				if r.entry == "free" && strings.HasPrefix(r.reason, "window ") {
					t.Errorf("slot %v of an entry of no group was held", r.slot)
				}
			}
			if got := s.endOf(t, "held", added); got != "skipped" || skipped < 2 {
				t.Errorf("slot %v in the window ended as %q, and %d were skipped; want it skipped, and two or more", added, got, skipped)
			}
			s.command(t, "audit", "--since", "10m") // which fails if anything is wrong
		})
	}
}

// rows returns whether the entry's row is enabled, as 0 or 1, or "" if there is none.
func (s *site) rows(t *testing.T, entry string) (enabled string) {
	t.Helper()
	s.database.each(t, "SELECT CASE WHEN enabled THEN '1' ELSE '0' END FROM celery_beat_schedules WHERE name = '"+entry+"'", func(scan func(...any)) { scan(&enabled) })
	return enabled
}
