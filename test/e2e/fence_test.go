package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A database that is behind its broker, as a copy of another's is, or one that was restored
// from a backup, is refused, and goes on once that is done which docs/guarantees.md says (The
// fence): the copy beside the first, with ids of its own, the restored one with those of before.
func TestADatabaseThatIsBehindGoesOnWhenItIsMended(t *testing.T) {
	t.Parallel()
	for _, queues := range []string{redis, rabbitmq, "a database", "a folder"} {
		for _, copied := range []bool{true, false} {
			t.Run(map[bool]string{true: "copied, ", false: "restored, "}[copied]+queues, func(t *testing.T) {
				t.Parallel()
				b, forget := fencedBroker(t, queues)
				s := newBareSite(t, newDatabase(t, sqlite), b)
				s.command(t, "migrate")
				grids := s.herdWith(t, 1, item{"misfire_policy": "all"})
				s.term(t)
				behind := newBareSite(t, s.database.backup(t), b)
				since := time.Now()
				for range 2 { // for the next term that the backup gives is the one after its own
					s.term(t)
				}
				says(t, behind.refused(t, nil), "another database publishes for this installation", "DELETE FROM onebeat_meta", "docs/guarantees.md")

				if copied {
					behind.database.exec(t, "DELETE FROM onebeat_meta WHERE key = 'installation'")
				} else {
					forget(t, s.database.fact(t, "installation"))
				}
				behind.term(t)
				if copied {
					s.term(t)
				}
				last := behind.term(t) // its fence is whole again
				report(t, behind.accounted(t, grids, window{behind.database.firstStart(t), last}))

				first, twice := map[time.Time]string{}, 0
				for _, r := range s.database.ledger(t) {
					first[r.slot.UTC()] = r.taskID
				}
				for _, r := range behind.database.ledger(t) {
					id, both := first[r.slot.UTC()]
					if !both || r.slot.Before(since) {
						continue
					}
					if twice++; r.state != "sent" || (r.taskID == id) == copied {
						t.Errorf("slot %v is %s as %s, and was sent as %s", r.slot.Time, r.state, r.taskID, id)
					}
				}
				if twice == 0 {
					t.Error("no slot was sent after the backup, and again")
				}
			})
		}
	}
}

// A copy that is started beside the node that leads has the next term, and that node ends. Who
// is started again has a term of its own, which ends the other: no two publish under one, where
// each would take what the other sent for its own.
func TestTwoDatabasesDoNotShareATerm(t *testing.T) {
	t.Parallel()
	for _, queues := range []string{redis, "a database", "a folder"} { // RabbitMQ lets the copy wait
		t.Run(queues, func(t *testing.T) {
			t.Parallel()
			b, _ := fencedBroker(t, queues)
			s := newBareSite(t, newDatabase(t, sqlite), b)
			s.command(t, "migrate")
			s.herdWith(t, 1, item{"misfire_policy": "all"})
			n := s.serve(t)
			s.awaitSent(t, "herd 0", every(time.Second).next(time.Now()), 20*time.Second)
			other := newBareSite(t, s.database.backup(t), b)
			copied := other.serve(t)
			n.awaitBehind(t)

			again := s.serve(t)
			copied.awaitBehind(t)
			s.awaitSent(t, "herd 0", every(time.Second).next(time.Now()), 20*time.Second)
			again.stop(t)
		})
	}
}

// awaitBehind waits until the node has ended because its database is behind its broker.
func (n *node) awaitBehind(t *testing.T) {
	t.Helper()
	select {
	case <-n.process.Done():
	case <-time.After(startWait):
		t.Fatalf("%s goes on", n.name)
	}
	if code := n.process.State().ExitCode(); code != 2 {
		t.Errorf("%s ended with %d, want 2", n.name, code)
	}
	says(t, n.process.Tail(1), "another database publishes for this installation")
}

// term runs a node until it has sent a slot that came while it ran, and returns that.
func (s *site) term(t *testing.T) time.Time {
	t.Helper()
	n := s.serve(t)
	slot := every(time.Second).next(time.Now().Add(time.Second))
	s.awaitSent(t, "herd 0", slot, 20*time.Second)
	n.stop(t)
	return slot
}

// backup is a SQLite file as it is now, as a database of its own.
func (d *database) backup(t *testing.T) *database {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.db")
	d.exec(t, "VACUUM INTO ?", file)
	return openDatabase(t, sqlite, "sqlite:///"+file, "sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
}

// fencedBroker is a broker, and what makes it forget the fence of an installation.
func fencedBroker(t *testing.T, kind string) (b *broker, forget func(t *testing.T, installation string)) {
	t.Helper()
	switch kind {
	case redis:
		b = newBroker(t, kind)
		return b, func(t *testing.T, installation string) {
			gone, err := b.redis.Do(t.Context(), b.redis.B().Del().Key(b.own+"onebeat:"+installation+":0").Build()).AsInt64()
			if err != nil || gone != 1 {
				t.Fatalf("%d keys were deleted: %v", gone, err)
			}
		}
	case rabbitmq:
		b = newBroker(t, kind)
		return b, func(t *testing.T, installation string) {
			if err := b.channel(func(channel *amqp.Channel) error {
				for _, name := range []string{".0.mark", ".0.steps"} {
					if _, err := channel.QueueDelete("onebeat."+installation+name, false, false, false); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	case "a database":
		d := newDatabase(t, sqlite)
		return inDatabase(d), func(t *testing.T, installation string) {
			d.exec(t, "DELETE FROM onebeat_marks WHERE installation = ?", installation)
		}
	}
	folder := t.TempDir()
	b = &broker{kind: virtual, url: "filesystem://", transport: map[string]any{
		"data_folder_in": folder, "data_folder_out": folder, "control_folder": t.TempDir(),
	}}
	return b, func(t *testing.T, installation string) {
		if err := os.RemoveAll(filepath.Join(folder, ".onebeat-"+installation+"-0")); err != nil {
			t.Fatal(err)
		}
	}
}
