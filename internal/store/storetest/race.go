//go:build race

package storetest

// raced says that the race detector watches, which makes the SQLite that is
// written in Go thirty times slower.
const raced = true
