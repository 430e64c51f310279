// Package server runs private PostgreSQL, MariaDB, Redis and RabbitMQ servers for
// tests, from the binaries that the system has.
//
// A server listens on the loopback address alone, on a port of its own, and
// keeps its data in a temporary folder of its own. It can be stopped, killed,
// frozen and started again at the same address with the same data.
//
//   - A server is ready when its constructor or Start returns: it has answered
//     a client.
//   - No server outlives the process that started it, even one that was killed.
//   - The system's own servers and their files are never touched.
package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/onebeat/onebeat/test/harness/process"
)

// startWait bounds a start; RabbitMQ takes 8 to 12 s on two busy cores.
const startWait = 90 * time.Second

// A Server is one private server. Its methods are called from one goroutine.
type Server struct {
	name string
	url  string
	dir  string

	start func() (*process.Process, error)
	ready func(context.Context) error
	quit  syscall.Signal // asks for a clean end

	process *process.Process
	besides *process.Process // what the server needs beside it, for as long as it exists; may be nil
}

// URL returns the server's address as its clients write it, with the password
// of a user who may do everything.
func (s *Server) URL() string { return s.url }

// PID returns the id of the server's main process.
func (s *Server) PID() int { return s.process.PID() }

// Dir returns the folder of the server's data and of its log, "log".
func (s *Server) Dir() string { return s.dir }

// Start starts a server that was stopped or killed, with the address and the
// data it had, and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	p, err := s.start()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.process = p
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := p.Await(ctx, s.ready); err != nil {
		p.Kill()
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	return nil
}

// Stop ends the server as its administrator would, and returns when it has ended.
func (s *Server) Stop() error { return s.process.Stop(s.quit, 30*time.Second) }

// Kill ends the server at once, as a power cut would, but for what the kernel
// still writes to disk.
func (s *Server) Kill() { s.process.Kill() }

// Pause freezes the server with its connections open; Resume lets it go on.
func (s *Server) Pause()  { s.process.Pause() }
func (s *Server) Resume() { s.process.Resume() }

// Close kills the server and removes its data. It may be called in any state,
// more than once.
func (s *Server) Close() error {
	for _, p := range []*process.Process{s.process, s.besides} {
		if p != nil {
			p.Kill()
		}
	}
	return os.RemoveAll(s.dir)
}

// Leave stops the server and leaves its folder to be looked at.
func (s *Server) Leave() error {
	err := s.Stop()
	if s.besides != nil {
		s.besides.Kill()
	}
	return err
}

// portTries is how often a server is given other ports: the ports are free when they are chosen, and
// may be somebody else's by the time the server listens.
const portTries = 3

// open makes the server's folder, lets prepare fill it, and starts the server.
// What fails leaves nothing behind.
func open(ctx context.Context, name string, prepare func(*Server) error) (s *Server, err error) {
	for range portTries {
		if s, err = openOnce(ctx, name, prepare); !errors.Is(err, process.ErrEnded) {
			return s, err
		}
	}
	return nil, err
}

func openOnce(ctx context.Context, name string, prepare func(*Server) error) (*Server, error) {
	dir, err := os.MkdirTemp("", "onebeat-"+name+"-")
	if err != nil {
		return nil, err
	}
	// Others may pass through: a server that runs as its own user has to.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	s := &Server{name: name, dir: dir}
	err = prepare(s)
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// systemUser returns the system's user of that name if this process is root, whom
// some servers refuse to run as, else nil.
func systemUser(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
