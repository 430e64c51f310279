package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// holdings are how many leases that have not ended each node holds.
func (s *site) holdings(t *testing.T) map[string]int {
	t.Helper()
	now := map[string]string{
		postgres: "clock_timestamp()", sqlite: "unixepoch('subsec') * 1000000", mariadb: "unix_timestamp(sysdate(6)) * 1000000",
	}[s.database.kind]
	held := map[string]int{}
	s.database.each(t, "SELECT owner FROM onebeat_leases WHERE expires_at > "+now, func(scan func(...any)) {
		var owner string
		scan(&owner)
		held[owner]++
	})
	return held
}

// shared waits until these nodes hold all shards, none more than one more than another.
func (s *site) shared(t *testing.T, shards int, nodes ...*node) {
	t.Helper()
	harness.Eventually(t, startWait, func() error {
		held := s.holdings(t)
		all, least, most := 0, shards, 0
		for _, n := range nodes {
			all += held[n.name]
			least, most = min(least, held[n.name]), max(most, held[n.name])
		}
		if all == shards && most-least <= 1 && len(held) <= len(nodes) {
			return nil
		}
		return fmt.Errorf("the %d shards of %d nodes are held as %v", shards, len(nodes), held)
	})
}

// Nodes share the shards out, and move them as nodes come, go and die: each slot is
// sent once meanwhile, and no node has more than one shard more than another.
func TestNodesShareTheShardsOut(t *testing.T) {
	t.Parallel()
	const shards = 8
	for _, on := range [][2]string{{postgres, redis}, {postgres, rabbitmq}, {mariadb, redis}, {sqlite, redis}} {
		t.Run(on[0]+", "+on[1], func(t *testing.T) {
			t.Parallel()
			s := newSite(t, on[0], on[1])
			grids := s.herdWith(t, 60, item{"misfire_policy": "all"})
			flags := []string{"--shards", fmt.Sprint(shards)}
			first := s.launch(t, nil, flags...)
			s.shared(t, shards, first)
			began := time.Now()
			says(t, s.refused(t, nil, "--shards", "4"), first.name, "has --shards 8 and this one 4", "stop all nodes first")

			second, third := s.launch(t, nil, flags...), s.launch(t, nil, flags...)
			s.shared(t, shards, first, second, third)
			all := time.Now().Truncate(time.Second).Add(time.Second)
			harness.Eventually(t, 20*time.Second, func() error { return s.allSentAt(t, grids, all) })
			came := time.Now()

			until(t, time.Now().Truncate(time.Second).Add(time.Second-50*time.Millisecond))
			killed := time.Now()
			first.kill()
			lost := death{time.Now(), shards}
			s.shared(t, shards, second, third)
			harness.Eventually(t, 20*time.Second, func() error { return s.allSentAt(t, grids, killed.Add(2*time.Second).Truncate(time.Second)) })
			died := time.Now()

			second.stop(t)
			s.shared(t, shards, third)
			fourth := s.launch(t, nil, flags...)
			s.shared(t, shards, third, fourth)
			last := time.Now().Truncate(time.Second).Add(2 * time.Second)
			harness.Eventually(t, 20*time.Second, func() error { return s.allSentAt(t, grids, last) })
			third.stop(t)
			fourth.stop(t)

			s.check(t, grids, window{s.database.firstStart(t), last}, s.broker.arrivals(t), lost)
			runs := s.database.ledger(t)
			senders := map[string]int{}
			for _, r := range runs {
				senders[r.node]++
			}
			t.Logf("late at worst: %v as two nodes came, %v after SIGKILL, %v as one went and one came; slots by node: %v",
				worst(runs, began, came), worst(runs, killed.Add(-time.Second), died), worst(runs, died, last), senders)
			if nodes := slices.Sorted(maps.Keys(senders)); len(nodes) != 4 {
				t.Errorf("slots were sent by %v, want them by each of four nodes", nodes)
			}
			if late := worst(runs, killed.Add(-time.Second), last); late > 5*time.Second {
				t.Errorf("slots were late by %v, want under 1s on an idle machine and 5s on a busy one", late)
			}
		})
	}
}

// allSentAt returns an error unless the ledger has the slot of each entry as sent.
func (s *site) allSentAt(t *testing.T, grids map[string]grid, slot time.Time) error {
	t.Helper()
	missing := maps.Clone(grids)
	for _, r := range s.database.ledger(t) {
		if r.state == "sent" && r.slot.Equal(slot) {
			delete(missing, r.entry)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the slot %v of %d entries is not recorded as sent", slot, len(missing))
	}
	return nil
}

// Another number of shards counts after all nodes were stopped: nothing is lost or
// doubled by it.
func TestTheNumberOfShardsIsChanged(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, redis)
			grids := s.herdWith(t, 20, item{"misfire_policy": "all"})
			var last time.Time
			for _, shards := range []int{1, 3, 2, 1} {
				n := s.launch(t, nil, "--shards", fmt.Sprint(shards))
				s.shared(t, shards, n)
				last = time.Now().Truncate(time.Second).Add(2 * time.Second)
				harness.Eventually(t, 20*time.Second, func() error { return s.allSentAt(t, grids, last) })
				n.stop(t)
			}
			s.check(t, grids, window{s.database.firstStart(t), last}, s.broker.arrivals(t))
		})
	}
}
