package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/stack/server"
)

// What RabbitMQ may have had when a node died: an entry that goes at most once is not
// sent again, and its slot is unsure; another is sent again, with the same id. The
// entry's own option goes before the setting.
func TestDeliveryIsTheEntrysChoice(t *testing.T) {
	t.Parallel()
	for _, passing := range []int{1, 4} {
		for _, setting := range []string{"at_least_once", "at_most_once"} {
			t.Run(fmt.Sprintf("%s, part %d", setting, passing), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, postgres, rabbitmq)
				s.broker.declare(t, "default")
				other := map[string]string{"at_least_once": "at_most_once", "at_most_once": "at_least_once"}[setting]
				grids, careful := map[string]grid{}, map[string]bool{}
				var items []item
				for i := range 60 {
					it := item{"name": fmt.Sprintf("herd %02d", i), "cron_expression": "@every 1s"}
					delivery := setting
					if i%2 == 0 {
						delivery = other
						it["options"] = fmt.Sprintf(`{"delivery": %q}`, other)
					}
					grids[it["name"].(string)] = every(time.Second)
					careful[it["name"].(string)] = delivery == "at_most_once"
					items = append(items, it)
				}
				s.database.insert(t, items...)
				s.crashWith(t, "amqp.publish.middle", passing, "--delivery", setting)
				n := s.serve(t, "--lease", "2s", "--delivery", setting)
				last := time.Now().Truncate(time.Second).Add(3 * time.Second)
				s.awaitSent(t, "herd 01", last, startWait)
				n.stop(t)

				arrivals := s.broker.arrivals(t)
				_, doubled := faults(grids, window{last, last}, arrivals)
				came := map[string]bool{}
				for _, a := range arrivals {
					came[a.entry+a.slot.String()] = true
				}
				var wrong []string
				for _, times := range doubled {
					if careful[times[0].entry] || len(ids(times)) > 1 {
						wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times, with the ids %v", times[0].entry, times[0].slot, len(times), ids(times)))
					}
				}
				unsure := 0
				for _, r := range s.database.ledger(t) {
					at := r.entry + r.slot.Time.String()
					switch {
					case r.state == "sent" && !came[at]:
						wrong = append(wrong, fmt.Sprintf("%s: slot %v is in the ledger as sent and never arrived", r.entry, r.slot.Time))
					case r.state == "unsure" && careful[r.entry] && r.taskID != "":
						unsure++
					case r.state == "unsure":
						wrong = append(wrong, fmt.Sprintf("%s: slot %v is unsure, with the id %q", r.entry, r.slot.Time, r.taskID))
					}
				}
				wrong = append(wrong, s.accounted(t, grids, window{s.database.firstStart(t), last})...)
				report(t, wrong)
				if unsure == 0 {
					t.Error("no slot is unsure, although the node died within a part")
				}
				if out := s.command(t, "runs", "list", "--state", "unsure"); strings.Count(out, "herd") != unsure {
					t.Errorf("runs list --state unsure has %d runs, the ledger %d:\n%s", strings.Count(out, "herd"), unsure, out)
				}
				t.Logf("%d slots unsure, %d doubled", unsure, len(doubled))
			})
		}
	}
}

// A Redis that comes back with older data has lost what was sent since. It is told of
// with its ids, or sent again, once, with the same ids; what goes at most once is told
// of either way. The node that works notices with the next part, and goes on itself, for others do not
// know what it had got to send; where it is gone, the next one does.
func TestARedisThatForgets(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"report", "resend"} {
		for _, noticed := range []string{"by the node that works", "by the node that works beside others", "by the next node"} {
			t.Run(setting+", "+noticed, func(t *testing.T) {
				t.Parallel()
				testForgets(t, setting, noticed == "by the next node", strings.HasSuffix(noticed, "beside others"))
			})
		}
	}
}

func testForgets(t *testing.T, setting string, next, beside bool) {
	private, err := server.Redis(t.Context(), server.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = private.Close() })
	s := newBareSite(t, newDatabase(t, postgres), openRedis(t, private.URL()))
	s.command(t, "migrate")
	grids := s.herd(t, 5)
	grids["careful"] = every(time.Second)
	s.database.insert(t, item{"name": "careful", "cron_expression": "@every 1s", "options": `{"delivery": "at_most_once"}`})
	flags := []string{"--broker-loss", setting}
	n := s.serve(t, flags...)
	var others []*node // of which one would have the lease if nobody did
	for beside && len(others) < 3 {
		other := s.launch(t, nil, flags...)
		other.await(t, "waiting for the lease")
		others = append(others, other)
	}
	kept := time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", kept, startWait)
	if err := s.broker.redis.Do(t.Context(), s.broker.redis.B().Save().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	lost := time.Now().Truncate(time.Second).Add(3 * time.Second)
	s.awaitSent(t, "careful", lost, startWait)
	if next {
		n.kill()
	} else {
		until(t, time.Now().Truncate(time.Second).Add(1500*time.Millisecond)) // between two slots: what is recorded is sent
	}
	private.Kill()
	if err := private.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next {
		n = s.serve(t, flags...)
	}
	last := time.Now().Truncate(time.Second).Add(3 * time.Second)
	s.awaitSent(t, "herd 0", last, startWait)
	for _, other := range others {
		if len(other.find(t, "lease taken")) > 0 {
			t.Errorf("%s went on, and not the node that knew what it had sent", other.name)
		}
		other.stop(t)
	}
	n.stop(t)

	named := map[string]bool{} // in the log, as lost for good
	for _, msg := range []string{"task lost by the broker", "task lost by the broker and not sent again"} {
		for _, l := range n.find(t, msg) {
			named[l["task_id"].(string)] = true
		}
	}
	if len(n.find(t, "the broker has come back with older data: messages that it had taken are gone")) != 1 {
		t.Errorf("the log does not say once that the broker has older data:\n%s", n.process.Tail(30))
	}
	arrivals := s.broker.arrivals(t)
	wrong := once(arrivals)
	came := map[string]bool{}
	for _, a := range arrivals {
		came[a.id] = true
	}
	gone := 0
	for _, r := range s.database.ledger(t) {
		if r.state != "sent" || came[r.taskID] {
			continue
		}
		gone++
		if !named[r.taskID] {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is gone, and the log does not name it", r.entry, r.slot.Time))
		}
		if setting == "resend" && r.entry != "careful" {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is gone, and was not sent again", r.entry, r.slot.Time))
		}
	}
	for _, a := range arrivals {
		if named[a.id] {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is named as lost, and is there", a.entry, a.slot))
		}
	}
	slices.Sort(wrong)
	report(t, wrong)
	if least := map[string]int{"report": 3 * len(grids), "resend": 3}[setting]; gone < least {
		t.Errorf("%d messages are gone, want %d at least: the server came back with all it had", gone, least)
	}
	report(t, s.accounted(t, grids, window{s.database.firstStart(t), last}))
}
