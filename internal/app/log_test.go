package app

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// pgx tells of a connection on several lines, and of each try.
func TestLogsTellAnErrorOnceOnOneLine(t *testing.T) {
	t.Parallel()
	err := errors.New("renew lease: failed to connect to `user=u`:\n\tdial: refused\n\tdial: refused")
	for _, format := range []string{"text", "json", "logfmt"} {
		config, problem := Load(map[string]string{"log-format": format}, func(string) string { return "" }, nil)
		if problem != nil {
			t.Fatal(problem)
		}
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
	for _, format := range []string{"text", "json", "logfmt"} {
		config, problem := Load(map[string]string{"log-format": format}, func(string) string { return "" }, nil)
		if problem != nil {
			t.Fatal(problem)
		}
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
	for _, format := range []string{"text", "json", "logfmt"} {
		config, problem := Load(map[string]string{"log-format": format}, func(string) string { return "" }, nil)
		if problem != nil {
			t.Fatal(problem)
		}
		var log bytes.Buffer
		NewLogger(config, &log).Error("entry set aside", "entry", "re\xffport", "err", errors.New("task \xfe: a name is not UTF-8"))
		if got := log.String(); !strings.Contains(got, "port") || !strings.Contains(got, "a name is not UTF-8") || !utf8.ValidString(got) {
			t.Errorf("%s: want the rest of the name and of the error, got %q", format, got)
		}
	}
}
