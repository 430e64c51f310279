package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	sockets "github.com/onebeat/onebeat/internal/socket"
)

// A socket connects to the Redis that takes writes now: the first of a list that
// can be reached, or the one that Sentinel calls the master.
type socket struct {
	target target

	mu   sync.Mutex
	at   int      // the one of target.addresses that is tried next
	conn net.Conn // the last connection, to the server or to a Sentinel
}

// cut ends the connection, so that the next call looks for the server anew, at the
// next address.
func (s *socket) cut() {
	s.next()
	s.end()
}

// end ends the connection: who waits for it gets an error at once.
func (s *socket) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// next goes on to the next address: the one that was connected did not answer.
func (s *socket) next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = (s.at + 1) % len(s.target.addresses)
}

// dial is rueidis's: it looks for the server itself. It tries each address once.
func (s *socket) dial(ctx context.Context, _ string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	var faults []error
	for range s.target.addresses {
		s.mu.Lock()
		to := s.target.addresses[s.at]
		s.mu.Unlock()
		conn, err := s.reach(ctx, to, dialer)
		if err == nil {
			return conn, nil
		}
		s.next()
		faults = append(faults, address.Explain(err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(faults) == 1 {
		return nil, faults[0]
	}
	return nil, &listError{faults}
}

// A listError is why none of several addresses could be reached, in one line.
type listError struct{ faults []error }

func (e *listError) Error() string {
	text := "none of the addresses can be reached: "
	for i, fault := range e.faults {
		if i > 0 {
			text += "; "
		}
		text += fault.Error()
	}
	return text
}

func (e *listError) Unwrap() []error { return e.faults }

// reach connects to an address, or to the master that the Sentinel there names.
func (s *socket) reach(ctx context.Context, to string, dialer *net.Dialer) (net.Conn, error) {
	if s.target.master != "" {
		master, err := s.ask(ctx, to, dialer)
		if err != nil {
			return nil, fmt.Errorf("ask Sentinel %s for the master %s: %w", to, s.target.master, err)
		}
		to = master
	}
	return s.connect(ctx, to, dialer)
}

// connect connects to an address, unless ctx has ended: then nobody may be there to end the
// connection.
func (s *socket) connect(ctx context.Context, to string, dialer *net.Dialer) (net.Conn, error) {
	conn, err := s.open(ctx, to, dialer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		conn.Close()
		return nil, err
	}
	s.conn = conn
	return conn, nil
}

func (s *socket) open(ctx context.Context, to string, dialer *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	conn, err := dialer.DialContext(ctx, s.target.network, to)
	if err != nil {
		return nil, err
	}
	if s.target.tls == nil {
		return sockets.Quick(conn), nil
	}
	config := s.target.tls.Clone()
	if host, _, err := net.SplitHostPort(to); err == nil && config.ServerName == "" {
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		if ctx.Err() != nil { // a Redis without TLS waits for the rest of a command
			return nil, fmt.Errorf("the TLS handshake with %s is not answered: does it speak TLS, or is its URL redis://? %w", to, err)
		}
		return nil, err
	}
	return secured, nil
}

// ask asks a Sentinel where the master is.
func (s *socket) ask(ctx context.Context, sentinel string, dialer *net.Dialer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{sentinel},
		DialCtxFn: func(_ context.Context, to string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return s.connect(ctx, to, dialer)
		},
		Dialer:            *dialer,
		Username:          s.target.sentinelUser,
		Password:          s.target.sentinelPassword,
		ClientSetInfo:     rueidis.DisableClientSetInfo,
		ForceSingleClient: true,
		AlwaysRESP2:       true,
		DisableRetry:      true,
		DisableCache:      true,
		PipelineMultiplex: -1,
		RingScaleEachConn: 2,
	})
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return "", err
	}
	master, err := client.Do(ctx, client.B().SentinelGetMasterAddrByName().Master(s.target.master).Build()).AsStrSlice()
	switch {
	case rueidis.IsRedisNil(err):
		return "", errors.New("it knows no master of that name: master_name in broker_transport_options says which")
	case err != nil:
		return "", err
	case len(master) != 2:
		return "", errors.New("its answer is not understood")
	}
	return net.JoinHostPort(master[0], master[1]), nil
}
