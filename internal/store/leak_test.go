package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/test/harness"
)

// together is how many tests run at a time: each kind of store waits for another server, for the most part.
const together = 3

func TestMain(m *testing.M) {
	harness.Together(together)
	goleak.VerifyTestMain(m)
}
