package store

import (
	"os"
	"path/filepath"
	"testing"
)

// Who waits for a lock whose file is removed meanwhile, with all else, does not get it beside one who makes it anew.
func TestARemovedLockIsNoLock(t *testing.T) {
	database := filepath.Join(t.TempDir(), "app.db")
	first, second, third := &fileGuard{database: database, name: "0"}, &fileGuard{database: database, name: "0"}, &fileGuard{database: database, name: "0"}
	try := func(g *fileGuard, want bool) {
		t.Helper()
		if held, err := g.try(t.Context()); held != want || err != nil {
			t.Fatalf("try = %v, %v, want %v", held, err, want)
		}
	}
	defer third.free()
	defer second.free()
	try(first, true)
	try(second, false)
	if err := os.Remove(first.path()); err != nil {
		t.Fatal(err)
	}
	first.free()
	try(third, true)
	try(second, false) // it has the file that is gone
	try(second, false) // and now the one that third has
	third.free()
	try(second, true)
}
