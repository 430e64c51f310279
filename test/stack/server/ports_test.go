package server

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/onebeat/onebeat/test/harness/process"
)

// A server whose port was taken by somebody else before it listened is given another one.
func TestAServerThatEndsAtOnceIsStartedAnew(t *testing.T) {
	for _, c := range []struct{ fails, tries int }{{0, 1}, {2, 3}, {portTries, portTries}} {
		var folders []string
		s, err := open(t.Context(), "port", func(s *Server) error {
			folders = append(folders, s.dir)
			taken := len(folders) <= c.fails
			s.ready = func(context.Context) error {
				if taken {
					return errors.New("nobody listens")
				}
				return nil
			}
			s.start = func() (*process.Process, error) {
				path := "sleep"
				if taken {
					path = "false"
				}
				return process.Start(process.Command{Path: path, Args: []string{"60"}, Log: s.path("log")})
			}
			return nil
		})
		if len(folders) != c.tries {
			t.Errorf("a server that failed %d times was started %d times, want %d", c.fails, len(folders), c.tries)
		}
		if failed := c.fails == portTries; failed != (err != nil) || failed != errors.Is(err, process.ErrEnded) {
			t.Errorf("a server that failed %d times: %v", c.fails, err)
		}
		if s != nil {
			s.Close()
		}
		for _, folder := range folders {
			if _, err := os.Stat(folder); err == nil {
				t.Errorf("the folder of a try is left: %s", folder)
			}
		}
	}
}
