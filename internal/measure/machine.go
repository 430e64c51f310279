package measure

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// A Machine is what a measurement ran on, as far as the system tells.
type Machine struct {
	System     string `json:"system"`
	Processors int    `json:"processors"`
	Model      string `json:"model,omitempty"`
	Memory     int64  `json:"memory_bytes,omitempty"`
	Load       string `json:"load,omitempty"` // averages of 1, 5 and 15 minutes before
	Go         string `json:"go"`
}

// ThisMachine is the one that this process runs on.
func ThisMachine() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU(), Go: runtime.Version()}
	m.Model = field("/proc/cpuinfo", "model name")
	_, _ = fmt.Sscan(field("/proc/meminfo", "MemTotal"), &m.Memory) // zero where it is not told
	m.Memory <<= 10
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return m
}

// String says it in a line.
func (m Machine) String() string {
	text := fmt.Sprintf("%s, %d processors", m.System, m.Processors)
	if m.Model != "" {
		text += fmt.Sprintf(" (%s), %d GB; load before: %s", m.Model, (m.Memory+1<<29)>>30, m.Load)
	}
	return text + "; " + m.Go
}

// field is what follows a name and a colon in a file of lines.
func field(file, name string) string {
	text, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer text.Close()
	for lines := bufio.NewScanner(text); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
