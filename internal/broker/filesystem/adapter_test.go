package filesystem_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// wait bounds whatever a test waits for.
const wait = 30 * time.Second

func open(t *testing.T, installation string, transport map[string]any) broker.Broker {
	t.Helper()
	b, err := broker.Open("filesystem://", broker.Options{Installation: installation, TransportOptions: transport})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// part makes one message of each of the options, with the ids given.
func part(t *testing.T, settings map[string]any, term int64, options ...string) celery.Part {
	t.Helper()
	config, err := celery.ParseConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	p := celery.Part{Mark: celery.Mark{Term: term, Seq: 1, Done: len(options)}}
	for i, text := range options {
		template, err := config.Template(celery.Task{Name: "proj.tasks.add", Options: text})
		if err != nil {
			t.Fatal(err)
		}
		p.Messages = append(p.Messages, celery.Message{Template: template, ID: fmt.Sprintf("id-%d", i), Slot: time.Now(), At: time.Now(), Index: i})
	}
	return p
}

func TestOpenSaysWhereTheFolderIsSet(t *testing.T) {
	for url, want := range map[string]string{
		"filesystem://": "", "filesystem:///": "", "filesystem://localhost/": "",
		"filesystem:///var/queue":             "data_folder_out",
		"filesystem://me:secret@host/a/b?x=1": "data_folder_out",
	} {
		_, err := broker.Open(url, broker.Options{})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("Open(%s): %v, want %q", url, err, want)
		}
	}
	if _, err := broker.Open("filesystem://", broker.Options{TransportOptions: map[string]any{"data_folder_out": 1}}); err == nil || !strings.Contains(err.Error(), "data_folder_out") {
		t.Errorf("Open with a number for a folder: %v", err)
	}
}

func TestPingSaysWhatIsWrongWithTheFolder(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{folder: "", file: "is no folder", filepath.Join(folder, "none"): "make it"} {
		b := open(t, "i", map[string]any{"data_folder_out": path})
		err := b.Ping(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Ping with %s: %v, want %q", path, err, want)
		}
		if want != "" {
			if _, err := b.Take(t.Context(), 1); err == nil {
				t.Errorf("Take with %s = nil", path)
			}
		}
	}
}

// The tables are what kombu 5.7 writes for queue_bind.
func TestPublishFollowsBindings(t *testing.T) {
	out, control := t.TempDir(), t.TempDir()
	for exchange, table := range map[string]string{
		"dex": `[["k", "^k$", "direct"], ["l", "^l$", "other"]]`,
		"bc":  `[["", "", "bcast.1"], ["", "", "bcast.2"]]`,
	} {
		if err := os.WriteFile(filepath.Join(control, exchange+".exchange"), []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := map[string]any{"task_queues": map[string]any{
		"t":            map[string]any{"exchange": "tex", "exchange_type": "topic", "routing_key": "a.#"},
		"bc":           map[string]any{"broadcast": true},
		"with.dots.in": map[string]any{},
		"a/b":          map[string]any{},
	}}
	p := part(t, settings, 1,
		`{"queue": "t", "routing_key": "a.x.y"}`, `{"exchange": "dex", "routing_key": "k"}`, `{"queue": "bc"}`, `{"queue": "with.dots.in"}`,
		`{"exchange": "dex", "routing_key": "nobody"}`, `{"exchange": "../dex", "routing_key": "k"}`, `{"queue": "a/b"}`,
		fmt.Sprintf(`{"queue": %q}`, strings.Repeat("q", 250)))
	p.Messages[3].ID = "an id with. and / and é"
	b := open(t, "i", map[string]any{"data_folder_out": out, "control_folder": control})
	for range 2 { // also when it is asked again
		failures, err := b.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, f := range failures {
			got = append(got, f.Index)
		}
		if want := []int{4, 5, 6, 7}; !slices.Equal(got, want) {
			t.Errorf("failures %+v, want those of %v", failures, want)
		}
	}
	for queue, index := range map[string]int{"t": 0, "direct": 1, "bcast.1": 2, "bcast.2": 2, "with.dots.in": 3} {
		if got := drain(t, out, queue, 0); len(got) != 1 || got[0].ID != p.Messages[index].ID {
			t.Errorf("queue %s holds %v, want message %d", queue, got, index)
		}
	}
}

// A worker that died as it wrote an exchange's bindings down, or froze, stops nothing else.
func TestPublishFailsOnlyWhatHasNoReadableBindings(t *testing.T) {
	out, control := t.TempDir(), t.TempDir()
	for exchange, table := range map[string]string{"empty": "", "half": `[["k", "^k$", "direct"], [`, "number": `7`, "held": `[["k", "^k$", "direct"]]`} {
		if err := os.WriteFile(filepath.Join(control, exchange+".exchange"), []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(control, "folder.exchange"), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(control, "held.exchange"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p := part(t, nil, 1, `{"queue": "good"}`, `{"exchange": "empty", "routing_key": "k"}`, `{"exchange": "half", "routing_key": "k"}`,
		`{"exchange": "number", "routing_key": "k"}`, `{"exchange": "folder", "routing_key": "k"}`, `{"exchange": "held", "routing_key": "k"}`, `{"queue": "good"}`)
	b := open(t, "i", map[string]any{"data_folder_out": out, "control_folder": control})
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	failures, err := b.Publish(ctx, p)
	if err != nil || len(failures) != 4 {
		t.Fatalf("Publish = %+v, %v, want failures of 1 to 4", failures, err)
	}
	for i, f := range failures {
		if f.Index != i+1 || !strings.Contains(f.Reason, "bindings") || !strings.Contains(f.Reason, control) {
			t.Errorf("failure %+v, want one of %d that names the file with the bindings", f, i+1)
		}
	}
	for queue, want := range map[string]int{"good": 2, "direct": 1} {
		if got := drain(t, out, queue, 0); len(got) != want {
			t.Errorf("queue %s holds %d messages, want %d", queue, len(got), want)
		}
	}
}

// kombu reads what kombu and onebeat wrote in the order that it was written.
func TestKombuSharesTheFolder(t *testing.T) {
	const code = `
import sys
from kombu import Connection
folder, control, put = sys.argv[1:]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": control, "store_processed": False}
with Connection("filesystem://", transport_options=options) as c:
    q = c.SimpleQueue("shared")
    if put == "put":
        q.put("from kombu")
    else:
        while len(q):
            m = q.get(timeout=5)
            m.ack()
            print(m.headers.get("id", "kombu"))
`
	for _, python := range []string{"ONEBEAT_TEST_PYTHON", "ONEBEAT_TEST_PYTHON52"} {
		t.Run(python, func(t *testing.T) {
			out, control := t.TempDir(), t.TempDir()
			kombu := func(put string) string {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				text, err := exec.CommandContext(ctx, brokertest.ServerURL(t, python), "-c", code, out, control, put).CombinedOutput()
				if err != nil {
					t.Fatalf("kombu: %v\n%s", err, text)
				}
				return strings.TrimSpace(string(text))
			}
			p := part(t, nil, 1, `{"queue": "shared"}`, `{"queue": "shared"}`, `{"queue": "shared"}`)
			one, other := p, p
			one.Messages, one.Mark.Done = p.Messages[:2], 2
			other.Messages = p.Messages[2:]
			b := open(t, "i", map[string]any{"data_folder_out": out})
			if _, err := b.Publish(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			kombu("put")
			if _, err := b.Publish(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			if got, want := kombu("get"), "id-0\nid-1\nkombu\nid-2"; got != want {
				t.Errorf("kombu got %q, want %q", got, want)
			}
		})
	}
}

// frozenEnv makes a test process the node that freezes, with that folder.
const frozenEnv = "ONEBEAT_FILESYSTEM_TEST_FROZEN"

// A node that froze in the middle of a part, and goes on when another has the shard,
// sends nothing more; the other sends what it had not.
func TestAFrozenNodeDoesNoHarm(t *testing.T) {
	options := slices.Repeat([]string{`{"queue": "q"}`}, 50)
	if folder := os.Getenv(frozenEnv); folder != "" {
		b := open(t, "i", map[string]any{"data_folder_out": folder})
		if _, err := b.Take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context(), part(t, nil, 1, options...)); !errors.Is(err, celery.ErrFenced) {
			t.Fatalf("Publish of the frozen node: %v, want ErrFenced", err)
		}
		return
	}
	for point, reached := range map[string]string{ // a file that is there at that point
		"filesystem.publish.written":   "term-1/next-*/mark",
		"filesystem.publish.committed": "term-1/part/mark",
		"filesystem.publish.moved":     "../*.q.msg",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			frozen := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAFrozenNodeDoesNoHarm$")
			frozen.Env = append(os.Environ(), frozenEnv+"="+folder, failpoint.Env+"="+point+"=4s")
			var output strings.Builder
			frozen.Stdout, frozen.Stderr = &output, &output
			if err := frozen.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { frozen.Process.Kill() })
			for {
				if found, _ := filepath.Glob(filepath.Join(folder, ".onebeat-i-0", reached)); len(found) > 0 {
					break
				}
				if ctx.Err() != nil {
					t.Fatalf("the node does not come to %s\n%s", point, output.String())
				}
			}
			frozen.Process.Signal(syscall.SIGSTOP)
			young := open(t, "i", map[string]any{"data_folder_out": folder})
			if _, err := young.Take(ctx, 2); err != nil {
				t.Fatalf("Take: %v", err)
			}
			p := part(t, nil, 2, options...)
			if _, err := young.Publish(ctx, p); err != nil {
				t.Fatalf("Publish: %v", err)
			}
			frozen.Process.Signal(syscall.SIGCONT)
			if err := frozen.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, output.String())
			}
			var got, want []string
			for _, m := range drain(t, folder, "q", 0) {
				got = append(got, m.ID)
			}
			for _, m := range p.Messages {
				want = append(want, m.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the queue holds %q, want each once, in order", got)
			}
			if left, _ := filepath.Glob(filepath.Join(folder, ".onebeat-*", "term-*", "*")); len(left) != 1 || filepath.Base(left[0]) != "mark" {
				t.Errorf("left in onebeat's folder: %v, want the mark", left)
			}
		})
	}
}
