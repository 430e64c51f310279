package store

import (
	"fmt"
	"os"
	"testing"
)

// What is to be done while many rows are read is done between them, and the rest is read.
func TestWhatComesBetweenRowsDoesNotWaitForTheLast(t *testing.T) {
	server := os.Getenv("ONEBEAT_TEST_POSTGRES")
	if server == "" {
		t.Fatal("ONEBEAT_TEST_POSTGRES is not set: run the tests with `make test`, or `make stack` first")
	}
	scratch, err := NewScratch(t.Context(), server, "onebeat_between")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := scratch.Drop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	s, err := Open(t.Context(), scratch.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const entries = 5000
	var all []Definition
	for i := range entries {
		all = append(all, Definition{Name: fmt.Sprint(i), Task: "tasks.add", Spec: "0 9 * * *"})
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := s.newFeed().(*postgresFeed)
	between := make(chan func() error, 1)
	read, before := 0, -1
	between <- func() error {
		before = read
		return nil
	}
	f.between = between
	if err := f.many(t.Context(), func(*row) error { read++; return nil }, "entries"); err != nil {
		t.Fatal(err)
	}
	if read != entries || before < 0 || before == entries {
		t.Errorf("%d of %d rows were read, %d before what came between", read, entries, before)
	}
	failed := fmt.Errorf("refused")
	between <- func() error { return failed }
	if err := f.many(t.Context(), func(*row) error { return nil }, "entries"); err == nil {
		t.Error("what failed between rows is no error")
	}
}
