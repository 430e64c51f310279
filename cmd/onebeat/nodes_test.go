package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Who has the lease sends nothing of entries whose lock another scheduler holds.
func TestCheckTellsWhoHoldsTheLockOfEntries(t *testing.T) {
	bareEnvironment(t)
	redis, database := miniredis.RunT(t), filepath.Join(t.TempDir(), "lock.db")
	t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+database)
	t.Setenv("ONEBEAT_BROKER", "redis://"+redis.Addr()+"/0")
	t.Setenv("ONEBEAT_CATALOG", "redbeat")
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	check := func(want int, lines ...string) {
		t.Helper()
		code, stdout, _ := onebeat(t, "check")
		for _, line := range lines {
			if code != want || !strings.Contains("\n"+stdout, "\n"+line+"\n") {
				t.Errorf("check: code %d, want %d and the line %q:\n%s", code, want, line, stdout)
			}
		}
	}
	if err := redis.Set("redbeat::lock", "onebeat:here"); err != nil { // a node's of this installation
		t.Fatal(err)
	}
	execSQL(t, "sqlite", database, `INSERT INTO onebeat_meta (key, value) VALUES ('installation', 'here') ON CONFLICT (key) DO UPDATE SET value = 'here'`)
	execSQL(t, "sqlite", database, `INSERT INTO onebeat_nodes SELECT 'a', 1, 1, unixepoch('subsec') * 1000000 + 60000000`)
	execSQL(t, "sqlite", database, `INSERT INTO onebeat_leases (shard, owner, term, seq, guarded, expires_at) VALUES (0, 'a', 1, 0, 0, unixepoch('subsec') * 1000000 + 60000000)`)
	check(0, "ok    nodes: a works")
	if err := redis.Set("redbeat::lock", "another's"); err != nil {
		t.Fatal(err)
	}
	redis.SetTTL("redbeat::lock", 25*time.Minute)
	held := "another scheduler holds the lock of RedBeat's entries in redis://" + redis.Addr() + "/0, for 25m0s at most: "
	check(exitNo, "WRONG lock: "+held+"onebeat sends nothing of them until that one is stopped, or the lock has run out",
		"ok    nodes: a waits for the lock of its entries")
	execSQL(t, "sqlite", database, `DELETE FROM onebeat_leases`)
	execSQL(t, "sqlite", database, `DELETE FROM onebeat_nodes`)
	check(0, "ok    lock: "+held+"onebeat sends nothing of them until that one is stopped, or the lock has run out")
	if err := redis.Set("redbeat::lock", "another's"); err != nil {
		t.Fatal(err)
	}
	check(0, "ok    lock: RedBeat's lock redbeat::lock is held for good: if no RedBeat runs, delete the key")
}
