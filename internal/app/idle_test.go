package app

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/store"
)

// A counter is a way to a server that counts what is asked of it: a client of PostgreSQL
// writes each statement that it waits for at once.
type counter struct {
	address string
	asked   atomic.Int64
}

func countingWay(t *testing.T, server string) *counter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{address: listener.Addr().String()}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				t.Error(err)
				client.Close()
				return
			}
			group.Go(func() {
				defer upstream.Close()
				text := make([]byte, 64<<10)
				for {
					n, err := client.Read(text)
					if err != nil {
						return
					}
					c.asked.Add(1)
					if _, err := upstream.Write(text[:n]); err != nil {
						return
					}
				}
			})
			group.Go(func() {
				defer client.Close()
				_, _ = io.Copy(client, upstream)
			})
		}
	})
	t.Cleanup(func() { // after the nodes have ended
		listener.Close()
		group.Wait()
	})
	return c
}

// A node that leads and has nothing to do asks the database once on a beat: that its lease lasts on, and with it who is there, and whether
// anything has changed. One that waits asks for these two, and waits in one statement as long as the lease lasts.
func TestANodeThatHasNothingToDoAsksLittle(t *testing.T) {
	made := scratch(t, brokertest.ServerURL(t, "ONEBEAT_TEST_POSTGRES"))
	through := func() (*counter, string) {
		u, err := url.Parse(made)
		if err != nil {
			t.Fatal(err)
		}
		way := countingWay(t, u.Host)
		u.Host = way.address
		return way, u.String()
	}
	rarely := store.Definition{Name: "rare", Task: "tasks.rare", Spec: "0 9 1 1 *", Enabled: true}
	leads, database := through()
	first := runNode(t, []store.Definition{rarely}, map[string]string{"database": database, "lease": "1s"})
	ready := func(r *running) func() bool {
		return func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK }
	}
	await(t, "the first node leads", 20*time.Second, ready(first))
	waits, database := through()
	second := runNode(t, nil, map[string]string{"database": database, "lease": "1s", "node": "n2"})
	await(t, "the second node stands by", 20*time.Second, ready(second))

	const beat = time.Second / attendance
	began, led, waited := time.Now(), leads.asked.Load(), waits.asked.Load()
	<-time.NewTimer(15 * beat).C
	beats := float64(time.Since(began)) / float64(beat)
	if asks := float64(leads.asked.Load()-led) / beats; asks > 1.6 {
		t.Errorf("a node that leads and has nothing to do asks the database %.1f times a beat, want 1", asks)
	}
	if asks := float64(waits.asked.Load()-waited) / beats; asks > 3.2 {
		t.Errorf("a node that waits asks the database %.1f times a beat, want little more than 2", asks)
	}
}
