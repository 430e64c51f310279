package stopped_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/onebeat/onebeat/internal/stopped"
)

// Whoever may write to the database may lock it, whoever came first: root too.
func TestALockIsForAllWhoMayWriteToTheDatabase(t *testing.T) {
	for rights, want := range map[os.FileMode]os.FileMode{0o600: 0o600, 0o644: 0o600, 0o660: 0o660, 0o666: 0o666, 0o400: 0o600} {
		database := filepath.Join(t.TempDir(), "app.db")
		if err := os.WriteFile(database, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(database, rights); err != nil {
			t.Fatal(err)
		}
		owner := os.Getuid()
		if owner == 0 {
			owner = 65534
			if err := os.Chown(database, owner, owner); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // made, and found
			file, err := stopped.Beside(database, database+"-onebeat-0.lock")
			if err != nil {
				t.Fatal(err)
			}
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != want || int(got) != owner {
				t.Errorf("beside a database with %v of %d the lock has %v of %d, want %v", rights, owner, info.Mode(), got, want)
			}
			file.Close()
		}
	}
}

// Who may write to the folder could let root give any file away.
func TestALockIsNoLink(t *testing.T) {
	database := filepath.Join(t.TempDir(), "app.db")
	path := database + "-onebeat-0.lock"
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if file, err := stopped.Beside(database, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Beside = %v, %v, want an error that names the file", file, err)
	}
}
