package filesystem_test

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// folderEnv tells a node that crashes where the messages are.
const folderEnv = "ONEBEAT_FILESYSTEM_TEST_FOLDER"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drain takes messages as kombu's _get does: files whose name ends in the queue's,
// in order of their names.
func drain(t testing.TB, folder, queue string, priority int) []brokertest.Received {
	t.Helper()
	entries, err := os.ReadDir(folder) // in order of name
	if err != nil {
		t.Fatal(err)
	}
	var received []brokertest.Received
	for _, entry := range entries {
		if _, rest, _ := strings.Cut(entry.Name(), "."); rest != queue+".msg" {
			continue
		}
		name := filepath.Join(folder, entry.Name())
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var envelope struct {
			Body       []byte
			Headers    struct{ ID, Task string }
			Properties struct {
				Priority    int
				DeliveryTag string `json:"delivery_tag"`
			}
		}
		if err := json.Unmarshal(text, &envelope); err != nil || envelope.Properties.DeliveryTag == "" {
			t.Fatalf("envelope %s: %v", text, err)
		}
		if envelope.Properties.Priority != priority {
			continue
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		received = append(received, brokertest.Received{ID: envelope.Headers.ID, Task: envelope.Headers.Task, Body: envelope.Body, Tag: envelope.Properties.DeliveryTag})
	}
	return received
}

func server(t testing.TB) brokertest.Server {
	t.Helper()
	folder := cmp.Or(os.Getenv(folderEnv), t.TempDir())
	if t, ok := t.(*testing.T); ok {
		t.Setenv(folderEnv, folder)
	}
	return brokertest.Server{
		URL:       "filesystem://",
		Transport: map[string]any{"data_folder_out": folder, "data_folder_in": "elsewhere", "store_processed": true},
		Local:     true,
		Points: []string{
			"filesystem.take.before", "filesystem.take.renamed", "filesystem.take.after",
			"filesystem.publish.before", "filesystem.publish.written", "filesystem.publish.committed",
			"filesystem.publish.moved", "filesystem.publish.marked", "filesystem.publish.after",
		},
		Queue: func(testing.TB, string) {},
		Drain: func(t testing.TB, queue string, priority int) []brokertest.Received {
			return drain(t, folder, queue, priority)
		},
	}
}

func TestBroker(t *testing.T) { brokertest.Run(t, server(t)) }

func BenchmarkPublish(b *testing.B) { brokertest.Benchmark(b, server(b)) }
