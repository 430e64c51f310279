// Package harness finds what the tests run against. Its packages start real
// Celery workers and Flower, and imitate SQS; the servers themselves are started by
// test/stack.
package harness

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Env returns what the variable names, one of ONEBEAT_TEST_POSTGRES,
// ONEBEAT_TEST_MARIADB, ONEBEAT_TEST_REDIS, ONEBEAT_TEST_RABBITMQ,
// ONEBEAT_TEST_PYTHON, ONEBEAT_TEST_PYTHON52, ONEBEAT_TEST_DJANGO, ONEBEAT_TEST_REDBEAT and
// ONEBEAT_TEST_SQLALCHEMY. The test fails without it: it is never skipped.
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
