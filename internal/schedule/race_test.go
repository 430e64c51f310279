//go:build race

package schedule_test

// raced says that the race detector watches, which makes what only computes six times slower.
const raced = true
