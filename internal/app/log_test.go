package app

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// logFormats are the settings of each format of the log.
func logFormats(t *testing.T) map[string]Config {
	t.Helper()
	configs := map[string]Config{}
	for _, format := range []string{"text", "json", "logfmt"} {
		config, err := Load(map[string]string{"log-format": format}, func(string) string { return "" }, nil)
		if err != nil {
			t.Fatal(err)
		}
		configs[format] = config
	}
	return configs
}

// pgx tells of a connection on several lines, and of each try.
func TestLogsTellAnErrorOnceOnOneLine(t *testing.T) {
	t.Parallel()
	err := errors.New("renew lease: failed to connect to `user=u`:\n\tdial: refused\n\tdial: refused")
	for format, config := range logFormats(t) {
		var log bytes.Buffer
		NewLogger(config, &log).Error("lease not renewed", "err", err)
		if got := log.String(); strings.Count(got, "refused") != 1 || strings.Contains(got, `\n`) {
			t.Errorf("%s: want the refusal once, without a line's end in it, got %s", format, got)
		}
	}
}

// A log that is kept is read days later, and beside others' logs.
func TestLogsTellTheDay(t *testing.T) {
	t.Parallel()
	for format, config := range logFormats(t) {
		var log bytes.Buffer
		NewLogger(config, &log).Info("task sent")
		if got := log.String(); !regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`).MatchString(got) {
			t.Errorf("%s: want the day and the time in UTC, got %s", format, got)
		}
	}
}

// SQLite keeps any bytes for a name: what stands beside them in the log is to be read all the same.
func TestLogsTellWhatIsNoUTF8(t *testing.T) {
	t.Parallel()
	for format, config := range logFormats(t) {
		var log bytes.Buffer
		NewLogger(config, &log).Error("entry set aside", "entry", "re\xffport", "err", errors.New("task \xfe: a name is not UTF-8"))
		if got := log.String(); !strings.Contains(got, "port") || !strings.Contains(got, "a name is not UTF-8") || !utf8.ValidString(got) {
			t.Errorf("%s: want the rest of the name and of the error, got %q", format, got)
		}
	}
}

// Each send has a line with its names, which are anybody's texts.
func TestLinesOfTheLogAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("夜", 100_000)
	for format, config := range logFormats(t) {
		var log bytes.Buffer
		NewLogger(config, &log).Info("task sent", "entry", long, "err", errors.New(long), "queue", "q")
		if got := log.String(); len(got) > 20_000 || !strings.Contains(got, "夜…") || !strings.Contains(got, "q") || !utf8.ValidString(got) {
			t.Errorf("%s: a line has %d bytes, want it cut", format, len(got))
		}
	}
}

// A dammed writer takes nothing until its gate is open.
type dammed struct {
	gate chan struct{}
	log  bytes.Buffer
}

func (d *dammed) Write(p []byte) (int, error) {
	<-d.gate
	return d.log.Write(p)
}

// A pipe that nobody reads, or a terminal after Ctrl-S, takes no more lines: who logs goes on.
func TestALogThatIsNotTakenHoldsNobodyUp(t *testing.T) {
	for _, format := range []string{"text", "json", "logfmt"} {
		synctest.Test(t, func(t *testing.T) {
			config, problem := Load(map[string]string{"log-format": format}, func(string) string { return "" }, nil)
			if problem != nil {
				t.Fatal(problem)
			}
			out := &dammed{gate: make(chan struct{})}
			log := NewLogger(config, out)
			const lines = 40_000 // some MB
			began := time.Now()
			for i := range lines {
				log.Info("task sent", "number", i)
			}
			if took := time.Since(began); took > 2*logPatience {
				t.Errorf("%s: logging took %v", format, took)
			}
			close(out.gate)
			synctest.Wait()
			log.Info("the last")

			text := out.log.String()
			kept := strings.Count(text, "task sent")
			if kept < 1000 || kept == lines || !strings.Contains(text, fmt.Sprint(lines-kept)) || !strings.Contains(text, "were lost") {
				t.Errorf("%s: %d of %d lines were kept, and it is not said how many were lost", format, kept, lines)
			}
			for i := range 1000 { // in order
				number := fmt.Sprintf("number=%d\n", i)
				if format == "json" {
					number = fmt.Sprintf(`"number":%d}`, i)
				}
				at := strings.Index(text, number)
				if at < 0 {
					t.Fatalf("%s: line %d is not there, or not in order", format, i)
				}
				text = text[at:]
			}
			if !strings.Contains(text, "the last") {
				t.Errorf("%s: the log does not go on", format)
			}
		})
	}
}
