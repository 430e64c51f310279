// Package flower runs Flower, the web page that watches Celery by its events.
package flower

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

const startWait = time.Minute

// Start starts Flower on the broker and returns its base URL, without a slash at
// the end, once it answers. Its API needs no password. It ends with the test.
//
// Flower knows of what happens while it runs alone: what was sent before Start
// returned may be missing.
func Start(t testing.TB, broker string) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatalf("start flower: %v", err)
	}
	dir := t.TempDir()
	p, err := process.Start(process.Command{
		Path: harness.Env(t, "ONEBEAT_TEST_PYTHON"),
		Args: []string{
			"-m", "celery", "--broker", broker, "flower",
			"--address=127.0.0.1", "--port=" + strconv.Itoa(port), "--logging=INFO",
		},
		Dir: dir,
		Log: filepath.Join(dir, "flower.log"),
		Env: []string{"FLOWER_UNAUTHENTICATED_API=true", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"},
	})
	if err != nil {
		t.Fatalf("start flower: %v", err)
	}
	t.Cleanup(p.Kill)

	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	err = p.Await(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthcheck", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("flower answered %s", response.Status)
		}
		return nil
	})
	if err == nil {
		// Flower listens to events from then on: flower/events.py, run.
		err = p.AwaitLog(ctx, "Connected to")
	}
	if err != nil {
		t.Fatalf("start flower: %v", err)
	}
	return url
}
