package main

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A node that fails ends, also where nobody reads what it says last: whoever looks after it starts it anew.
func TestAnErrorThatIsNotReadEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		defer read.Close()
		code := make(chan int, 1)
		go func() { code <- run(t.Context(), []string{"serve", "nonsense"}, nil, io.Discard, write) }()
		select {
		case got := <-code:
			if got != exitUsage {
				t.Errorf("the exit code is %d, want %d", got, exitUsage)
			}
		case <-time.After(time.Minute):
			t.Error("the process waits for who reads its error")
		}
	})
}
