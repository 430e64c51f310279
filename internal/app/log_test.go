package app

import (
	"bytes"
	"errors"
	"strings"
	"testing"
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
