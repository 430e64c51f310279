package deploy_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/app"
)

// What a node refuses to start for may be over a minute later: a clock that is not set yet, a table that a migration
// is about to make. systemd gives up a unit that starts five times within ten seconds unless told otherwise.
func TestSystemdTriesOn(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "onebeat.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]string{} // by [section]name
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		} else if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			unit[section+name] = value
		}
	}
	for name, want := range map[string]string{"[Service]Restart": "always", "[Unit]StartLimitIntervalSec": "0"} {
		if got := unit[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	config, err := app.Load(nil, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if stop, err := strconv.Atoi(unit["[Service]TimeoutStopSec"]); err != nil || float64(stop) <= config.Length("drain").Seconds() {
		t.Errorf("TimeoutStopSec = %q, want more than --drain, %v", unit["[Service]TimeoutStopSec"], config.Length("drain"))
	}
}
