package catalogs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// Entries of a file run beside Django's, and alone, where the database only
// remembers; an edit of the file counts while the node runs, a fault in it stops
// nothing, and a restart repeats and forgets no slot.
func TestServeSendsTheFilesTasks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, catalog string }{
		{"PostgreSQL", "django,file"},
		{"MariaDB", "file"},
		{"SQLite", "file"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			c := catalog{name: "django", kind: tt.kind}
			d := newDatabase(t, c)
			if tt.catalog != "file" {
				d = newTables(t, c)
			}
			queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
			broker := harness.Env(t, "ONEBEAT_TEST_REDIS")
			dir := t.TempDir()
			path := filepath.Join(dir, "schedules.yaml")
			write := func(entries string) {
				t.Helper()
				if err := os.WriteFile(path, []byte("beat_schedule:\n"+entries), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			entry := func(name, rest string) string {
				return fmt.Sprintf("  %s: {task: probe.record, schedule: 1, options: {queue: %s}%s}\n", name, queue, rest)
			}
			write(entry("of the file", ", args: [a]"))
			settings := []string{"--catalog", tt.catalog, "--catalog-file", path, "--database", d.url}
			onebeat := func(args ...string) (string, int) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, binary, append(args, settings...)...)
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState == nil {
					t.Fatalf("onebeat %v: %v", args, err)
				}
				return string(out), cmd.ProcessState.ExitCode()
			}
			if tt.catalog != "file" {
				d.python(t, schedules+fmt.Sprintf("task(\"of Django\", task=\"probe.record\", interval=every(1, \"seconds\"), queue=%q)\n", queue), nil)
			}
			if out, code := onebeat("migrate"); code != 0 {
				t.Fatalf("migrate = %d: %s", code, out)
			}
			w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Pool: "solo"})
			serve := func(n int) *process.Process {
				t.Helper()
				return launch(t, fmt.Sprint("onebeat ", n), onebeatCommand(filepath.Join(dir, fmt.Sprintf("onebeat-%d.log", n)), broker, settings...))
			}
			node := serve(1)
			awaitRun(t, w, "of the file")
			if tt.catalog != "file" {
				awaitRun(t, w, "of Django")
			}

			// A fault in the file is told of, and what ran goes on.
			write("  broken: [\n")
			awaitOutput(t, func() string { out, _ := onebeat("entries", "list"); return out }, "schedules.yaml")
			if out, code := onebeat("check", "--broker", broker); code != 3 || !strings.Contains(out, "schedules.yaml") {
				t.Errorf("check = %d: %s; want 3 and what is wrong with the file", code, out)
			}
			ran := len(w.Records(t))
			w.Await(t, ran+2, time.Minute)

			write(entry("of the file", ", args: [a]") + entry("another", ", args: [b]"))
			awaitRun(t, w, "another")
			if out, code := onebeat("entries", "remove", "another"); code != 2 || !strings.Contains(out, "schedules.yaml") {
				t.Errorf("entries remove = %d: %s; want 2 and where the entry is edited", code, out)
			}
			if err := node.Stop(syscall.SIGTERM, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			before := len(w.Records(t))
			node = serve(2)
			w.Await(t, before+4, time.Minute)
			if err := node.Stop(syscall.SIGTERM, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			// Each slot since the first start is one message, or was let go as missed while nothing ran.
			times := map[string]int{}
			for _, r := range w.Records(t) {
				times[r.PeriodicTaskName+" "+r.Slot]++
			}
			for slot, n := range times {
				if n != 1 {
					t.Errorf("%s ran %d times", slot, n)
				}
			}
			if out, code := onebeat("audit", "--since", "1h"); code != 0 {
				t.Errorf("audit = %d: %s", code, out)
			}
			if out, code := onebeat("entries", "show", "of the file"); code != 0 || !strings.Contains(out, "file:of the file") {
				t.Errorf("entries show = %d: %s", code, out)
			}
		})
	}
}

// awaitOutput waits until what do returns holds the text.
func awaitOutput(t *testing.T, do func() string, text string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		if out := do(); !strings.Contains(out, text) {
			return fmt.Errorf("%q did not come:\n%s", text, out)
		}
		return nil
	})
}
