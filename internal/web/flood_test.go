package web_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onebeat/onebeat/internal/web"
)

// A slow node's Health waits until it is let go of.
type slow struct {
	node
	begun   atomic.Int64
	running atomic.Int64
	most    atomic.Int64
	let     chan struct{}
}

func (s *slow) Health(ctx context.Context) web.Health {
	s.begun.Add(1)
	now := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	select {
	case <-s.let:
	case <-ctx.Done():
	}
	return web.Health{OK: true}
}

// However many ask how a node is, it looks once at a time: messages wait for none of them.
func TestHealthIsLookedAtOnceAtATime(t *testing.T) {
	const clients = 40
	n := &slow{let: make(chan struct{})}
	address := serve(t, n)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var written, answered sync.WaitGroup
	written.Add(clients)
	for range clients {
		answered.Go(func() {
			tell := sync.OnceFunc(written.Done)
			defer tell()
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { tell() }})
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz", nil)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("GET /healthz: %d", response.StatusCode)
			}
		})
	}
	written.Wait()
	for range clients { // which are behind those, as far as can be told
		ask(t, http.MethodGet, address+"/readyz")
	}
	close(n.let)
	answered.Wait()
	if most := n.most.Load(); most != 1 || n.begun.Load() == 0 {
		t.Errorf("the node was looked at %d times at once for %d clients, want once", most, clients)
	}
}
