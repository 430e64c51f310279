package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// printHerds prints what was measured of one number of entries. Ratios are to
// the last line if that is beat's.
func printHerds(to io.Writer, group []Herd) {
	entries := group[0].Entries
	fmt.Fprintf(to, "%s entries due at one instant\n", grouped(entries))
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsent\tfirst\tlast\tlast seen\tmessages/s\tratio\tCPU a message\tmemory\tpeak\tloaded\tfirst send\tloaded again\tfirst send\t")
	last := group[len(group)-1]
	for _, h := range group {
		ratio := ""
		if h.FirstStart != nil && last.FirstStart == nil {
			ratio = fmt.Sprintf("%.0fx", h.Rate/last.Rate)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d MB\t%d MB\t", h.Scheduler, grouped(h.Sent), brief(h.First), brief(h.Last), brief(h.Seen),
			grouped(int(h.Rate)), ratio, brief(h.CPU), h.Memory>>20, h.Peak>>20)
		for _, s := range []*Start{h.FirstStart, h.Restart} {
			if s == nil {
				fmt.Fprint(w, "\t\t")
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t", brief(s.Loaded), brief(s.FirstSend))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	fmt.Fprintln(to)
}

func printIdle(to io.Writer, i Idle) {
	fmt.Fprintf(to, "%s: %d entries for %v, %d sent: late by p50 %s, p99 %s, at most %s; %.2f %% of a processor\n",
		i.Scheduler, i.Entries, i.For, i.Sent, brief(i.P50), brief(i.P99), brief(i.Max), 100*i.Processor)
}

// grouped is n with commas between thousands.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// brief is a length of time in three digits or so.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f µs", d.Seconds()*1e6)
}

// A machine is what a measurement ran on.
type machine struct {
	Processors int    `json:"processors"`
	Model      string `json:"model"`
	Memory     int64  `json:"memory_bytes"`
	Load       string `json:"load"` // averages of 1, 5 and 15 minutes before
	Go         string `json:"go"`
	Postgres   string `json:"postgres"`
	Redis      string `json:"redis"`
	RabbitMQ   string `json:"rabbitmq,omitempty"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d processors (%s), %d GB; load before: %s; %s; PostgreSQL %s; Redis %s", m.Processors, m.Model, m.Memory>>30, m.Load, m.Go, m.Postgres, m.Redis)
}

// thisMachine finds out what it can.
func thisMachine(ctx context.Context, b *bench) machine {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version()}
	m.Model = field("/proc/cpuinfo", "model name")
	_, _ = fmt.Sscan(field("/proc/meminfo", "MemTotal"), &m.Memory)
	m.Memory <<= 10
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	if db, err := sql.Open("pgx", b.postgres); err == nil {
		_ = db.QueryRowContext(ctx, "SHOW server_version").Scan(&m.Postgres)
		_ = db.Close()
	}
	if out, err := exec.CommandContext(ctx, "redis-server", "--version").Output(); err == nil {
		_, rest, _ := strings.Cut(string(out), "v=")
		m.Redis, _, _ = strings.Cut(rest, " ")
	}
	return m
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
