// Package harness finds what the tests run against. Its packages start real
// Celery workers and Flower, and imitate SQS; the servers themselves are started by
// test/stack.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness/process"
)

// Env returns what the variable names, one of ONEBEAT_TEST_POSTGRES,
// ONEBEAT_TEST_MARIADB, ONEBEAT_TEST_REDIS, ONEBEAT_TEST_RABBITMQ,
// ONEBEAT_TEST_PYTHON, ONEBEAT_TEST_PYTHON52, ONEBEAT_TEST_DJANGO,
// ONEBEAT_TEST_DJANGO_OLD, ONEBEAT_TEST_REDBEAT and ONEBEAT_TEST_SQLALCHEMY. The test fails without it: it is never skipped.
func Env(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or `make stack` first", name)
	}
	return value
}

// Root returns the module's folder: that of the go.mod above the working folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod above the working folder")
		}
	}
}

// Together lets n tests run at a time that say they may, unless the command line says how many.
// It is for tests that mostly wait, so that n may be more than there are processors.
func Together(n int) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", strconv.Itoa(n)) // it takes a number
	}
}

// Build builds the command of this module, and returns its path in the folder.
func Build(dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "onebeat")
	return path, BuildFrom(root, path)
}

// Main is TestMain for tests of the command, which it builds: its path is in binary while they run.
func Main(m *testing.M, binary *string) (code int) {
	dir, err := os.MkdirTemp("", "onebeat-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		*binary, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// BuildFrom builds the command of the module in the folder source at path, with more
// arguments of go build.
func BuildFrom(source, path string, arguments ...string) error {
	arguments = append([]string{"build", "-trimpath", "-o", path}, arguments...)
	cmd := exec.Command("go", append(arguments, "./cmd/onebeat")...)
	cmd.Dir = source
	if !slices.Contains(arguments, "-race") {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image's is
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build onebeat in %s: %w\n%s", source, err, out)
	}
	return nil
}

// Eventually waits until done returns nil, and fails the test with its last error if
// that takes longer than wait.
func Eventually(t testing.TB, wait time.Duration, done func() error) {
	t.Helper()
	for over := time.Now().Add(wait); ; {
		began := time.Now()
		err := done()
		if err == nil {
			return
		}
		left := time.Until(over)
		if left <= 0 {
			t.Fatalf("after %v: %v", wait, err)
		}
		<-time.After(min(left, process.Pause(began)))
	}
}

// A Moment scans an instant that may be null, as each database writes it.
type Moment struct{ time.Time }

// Scan implements sql.Scanner.
func (m *Moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		m.Time = time.Time{}
	case time.Time:
		m.Time = v.UTC()
	case int64:
		m.Time = time.UnixMicro(v).UTC()
	case []byte: // a number as MariaDB has it
		at, err := strconv.ParseInt(string(v), 10, 64)
		m.Time = time.UnixMicro(at).UTC()
		return err
	case string:
		at, err := time.Parse("2006-01-02 15:04:05", strings.TrimSuffix(strings.TrimSuffix(v, "+00:00"), "Z"))
		m.Time = at
		return err
	default:
		return fmt.Errorf("a moment of type %T", value)
	}
	return nil
}
