package app

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/onebeat/onebeat/internal/login"
)

// NewLogger returns the logger that the settings ask for: text, with colours and
// without the day where out is a terminal, json, or logfmt. Times are in UTC. Nobody
// who logs waits for long until out takes a line.
func NewLogger(config Config, out io.Writer) *slog.Logger {
	file, ok := out.(*os.File)
	watched := ok && term.IsTerminal(int(file.Fd()))
	direct := slog.New(logHandler(config, out, watched))
	return slog.New(logHandler(config, &logWriter{out: out, lost: func(lines int) {
		direct.Warn("lines of the log were lost: what reads it took none", "lines", lines)
	}}, watched))
}

func logHandler(config Config, out io.Writer, watched bool) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(config.String("log-level"))) // checked by Load
	utc := func(groups []string, a slog.Attr) slog.Attr {
		a = bounded(onOneLine(a))
		switch a.Value.Kind() {
		case slog.KindTime:
			return slog.String(a.Key, a.Value.Time().UTC().Format("2006-01-02T15:04:05.000000Z"))
		case slog.KindDuration:
			return slog.String(a.Key, a.Value.Duration().String())
		}
		return a
	}
	switch config.String("log-format") {
	case "json":
		return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: utc})
	case "logfmt":
		return slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: utc})
	}
	stamp := "2006-01-02T15:04:05.000Z"
	if watched {
		stamp = "15:04:05.000"
	}
	return tint.NewTextHandler(out, &tint.Options{
		Level:   level,
		NoColor: !watched || os.Getenv("NO_COLOR") != "",
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			a = bounded(whole(onOneLine(a)))
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.String(a.Key, a.Value.Time().UTC().Format(stamp))
			}
			if a.Value.Kind() == slog.KindTime {
				return slog.String(a.Key, a.Value.Time().UTC().Format("2006-01-02T15:04:05.999999Z"))
			}
			return a
		},
	})
}

// onOneLine makes one line of an error that has several.
func onOneLine(a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny { // nor is it boxed to find that out
		return a
	}
	if err, ok := a.Value.Any().(error); ok {
		return slog.String(a.Key, login.OneLine(err).Error())
	}
	return a
}

// textMost is how many bytes of a text a line of the log has: names are anybody's, and each send has some.
const textMost = 4096

// bounded cuts a text that is too long for a line.
func bounded(a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindString || len(a.Value.String()) <= textMost {
		return a
	}
	return slog.String(a.Key, strings.ToValidUTF8(a.Value.String()[:textMost], "")+"…")
}

// whole puts a question mark for what is no UTF-8: the text handler leaves out all from there on.
func whole(a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindString || !strings.ContainsRune(a.Value.String(), utf8.RuneError) {
		return a
	}
	return slog.String(a.Key, strings.Map(func(r rune) rune {
		if r == utf8.RuneError {
			return '?'
		}
		return r
	}, a.Value.String()))
}
