package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// TestScripts carries out testdata/*.txt, each in a folder of its own with
// nothing in the environment. A script is written as for testscript, of which it
// uses this much:
//
//	env NAME=VALUE               sets a variable; $NAME stands for it from then on
//	[!] exec onebeat ARGS        runs a verb, which must [not] end with code 0
//	exits CODE                   with what code it ended
//	[!] stdout|stderr PATTERN    a line of what it printed does [not] match
//	oneline                      stderr is one line, which names the program
//	same                         stdout is what the exec before printed
//	[!] exists FILE
//	sql FILE STATEMENT           changes a SQLite file as another program would
//	-- FILE --                   begins a file's text, to the end or the next
//
// Single quotes hold a word with blanks together; a doubled one stands for itself.
func TestScripts(t *testing.T) {
	was := herdPatience
	defer func() { herdPatience = was }()
	herdPatience = time.Minute
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			runScript(t, string(text))
		})
	}
}

// A script is one being carried out.
type script struct {
	t              *testing.T
	line           string
	code           int
	stdout, stderr string
	before         string // stdout of the exec before the last
}

func runScript(t *testing.T, text string) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	s := &script{t: t}
	head, files, _ := strings.Cut("\n"+text, "\n-- ")
	if files != "" {
		for part := range strings.SplitSeq(files, "\n-- ") {
			name, body, _ := strings.Cut(part, " --\n")
			if err := os.WriteFile(name, []byte(strings.TrimSuffix(body, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for line := range strings.Lines(head) {
		s.line = strings.TrimSpace(line)
		if words := split(s.line); len(words) > 0 {
			s.step(words)
		}
	}
}

// bareEnvironment takes away all that a verb could read from the environment.
func bareEnvironment(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "ONEBEAT_") || strings.HasPrefix(name, "CELERY_") || name == "DATABASE_URL" || name == "REDIS_URL" {
			t.Setenv(name, "")
		}
	}
	t.Setenv("USER", "ada")
	t.Setenv("SUDO_USER", "")
}

// step carries out one line.
func (s *script) step(words []string) {
	s.t.Helper()
	not := words[0] == "!"
	if not {
		words = words[1:]
	}
	arg := func(i int) string {
		if i >= len(words) {
			s.t.Fatalf("%s: too few words", s.line)
		}
		return words[i]
	}
	check := func(ok bool, what string) {
		s.t.Helper()
		if ok == not {
			s.t.Fatalf("%s\n%s; code %d\nstdout:\n%s\nstderr:\n%s", s.line, what, s.code, s.stdout, s.stderr)
		}
	}
	switch words[0] {
	case "env":
		name, value, _ := strings.Cut(arg(1), "=")
		s.t.Setenv(name, value)
	case "exec":
		if arg(1) != "onebeat" {
			s.t.Fatalf("%s: only onebeat can be run", s.line)
		}
		s.before = s.stdout
		s.code, s.stdout, s.stderr = onebeat(s.t, words[2:]...)
		check(s.code == 0, "it ended with another code")
	case "exits":
		check(strconv.Itoa(s.code) == arg(1), "it ended with another code")
	case "stdout":
		check(matches(s.t, s.stdout, arg(1)), "stdout is another")
	case "stderr":
		check(matches(s.t, s.stderr, arg(1)), "stderr is another")
	case "oneline":
		check(strings.HasPrefix(s.stderr, "onebeat: ") && strings.Count(s.stderr, "\n") == 1 && strings.HasSuffix(s.stderr, "\n"), "stderr is not one line")
	case "same":
		check(s.stdout == s.before, "stdout was\n"+s.before)
	case "exists":
		_, err := os.Stat(arg(1))
		check(err == nil, fmt.Sprint(err))
	case "sql":
		execSQL(s.t, "sqlite", arg(1), arg(2))
	default:
		s.t.Fatalf("%s: unknown step", s.line)
	}
}

// onebeat carries out a command line and returns its exit code and what it printed.
func onebeat(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &complaints)
	return code, out.String(), complaints.String()
}

func matches(t *testing.T, text, pattern string) bool {
	t.Helper()
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		t.Fatal(err)
	}
	return re.MatchString(text)
}

func execSQL(t *testing.T, driver, source, statement string) {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// split parts a line into words; what follows # is a comment.
func split(line string) []string {
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\'' && quoted && i+1 < len(line) && line[i+1] == '\'':
			word.WriteByte(c)
			i++
		case c == '\'':
			quoted, begun = !quoted, true
		case quoted:
			word.WriteByte(c)
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !begun:
			return words
		case c == '$':
			name := regexp.MustCompile(`^\w+`).FindString(line[i+1:])
			word.WriteString(os.Getenv(name))
			begun = true
			i += len(name)
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	end()
	return words
}
