package app_test

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is this module's path.
const module = "github.com/onebeat/onebeat/"

// layers is the architecture (docs/design/architecture.md): each package, and all
// it may import of ours, below internal/.
var layers = map[string]string{
	"internal/schedule": "", "internal/celery": "", "internal/failpoint": "", // the words
	"internal/plan": "schedule", "internal/lease": "schedule", "internal/web": "schedule", "internal/audit": "schedule", "internal/forecast": "schedule", "internal/shadow": "schedule celery", "internal/celeryapp": "", "internal/daysoff": "schedule", // the steps
	"internal/dispatch":        "schedule celery failpoint",
	"internal/store":           "schedule failpoint mysqlurl login socket stopped broker/address", // the ports, and what serves them
	"internal/store/storetest": "schedule store audit",
	"internal/catalog":         "",
	"internal/catalog/file":    "schedule store catalog",
	"internal/catalog/redbeat": "schedule store catalog broker/address",
	"internal/broker":          "celery broker/address broker/redis broker/amqp broker/sqlalchemy broker/filesystem broker/sqs",

	"internal/broker/address":    "",
	"internal/socket":            "",
	"internal/mysqlurl":          "broker/address",
	"internal/login":             "",
	"internal/stopped":           "",
	"internal/broker/outbox":     "celery",
	"internal/broker/redis":      "celery failpoint broker/address broker/outbox socket",
	"internal/broker/amqp":       "celery failpoint broker/address broker/outbox",
	"internal/broker/virtual":    "celery",
	"internal/broker/filesystem": "celery failpoint broker/virtual",
	"internal/broker/sqs":        "celery failpoint broker/address broker/virtual",
	"internal/broker/sqlalchemy": "celery failpoint broker/address broker/virtual mysqlurl login stopped",
	"internal/broker/brokertest": "celery failpoint broker",

	"internal/app":     "schedule celery failpoint store broker plan dispatch lease web audit forecast catalog/file catalog/redbeat login", // the wiring
	"internal/measure": "app store broker schedule celery",
	"cmd/onebeat":      "app measure schedule celery store broker web audit forecast celeryapp daysoff shadow login",
}

// The machine's zone decides nothing, and zones are loaded in one place.
func TestZonesAreLoadedInOnePlace(t *testing.T) {
	calls := regexp.MustCompile(`time\.LoadLocation\w*\(|time\.Local\b|\.Local\(\)|time\.ParseInLocation\(`)
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(filepath.ToSlash(name), "../../")
			for i, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if call := calls.FindString(code); call != "" && !strings.HasPrefix(name, "internal/schedule/") {
					t.Errorf("%s:%d says %s: use schedule.Location", name, i+1, call)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestImportsGoDownOnly(t *testing.T) {
	found := map[string]bool{}
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", root), func(dir string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			pkg, err := build.ImportDir(dir, 0)
			if _, none := err.(*build.NoGoError); none {
				return nil
			}
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(dir), "../../")
			found[name] = true
			allowed, known := layers[name]
			if !known {
				t.Errorf("%s is not in the table of layers: say what it may import", name)
			}
			for _, path := range pkg.Imports {
				ours, isOurs := strings.CutPrefix(path, module)
				if isOurs && !slices.Contains(strings.Fields(allowed), strings.TrimPrefix(ours, "internal/")) {
					t.Errorf("%s imports %s; the table of layers allows it %q", name, ours, allowed)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range layers {
		if !found[name] {
			t.Errorf("%s is in the table of layers and not in the tree", name)
		}
	}
}
