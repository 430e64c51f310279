package redis_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

// A Redis that is killed, and comes back from an older file, is noticed at the next
// part, which is not sent; Take tells how far its memory goes.
func TestPublishNoticesThatRedisForgot(t *testing.T) {
	private, err := servers.Redis(t.Context(), servers.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	b := open(t, private.URL(), broker.Options{})
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	client := connect(t, private.URL())
	part := batch(t, nil, `{"queue": "q"}`)
	var kept celery.Mark
	for seq := range int64(4) {
		part.Mark.Seq, part.Mark.At, part.Mark.Last = seq+1, 1000+seq, part.Messages[0].ID
		if _, err := publish(t, b, part); err != nil {
			t.Fatal(err)
		}
		if seq == 1 {
			do(t, client, "SAVE")
			kept = part.Mark
		}
	}
	private.Kill()
	if err := private.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	part.Mark.Seq = 5
	if _, err := publish(t, b, part); !errors.Is(err, celery.ErrForgot) {
		t.Fatalf("Publish after Redis lost two parts: %v, want ErrForgot", err)
	}
	if got := pop(t, connect(t, private.URL()), "q"); len(got) != 2 {
		t.Errorf("%d messages are in the queue, want the 2 that were saved", len(got))
	}
	if mark, err := b.Take(t.Context(), 1); err != nil || mark != kept {
		t.Errorf("Take = %+v, %v, want %+v", mark, err, kept)
	}
	if _, err := publish(t, b, part); err != nil {
		t.Errorf("Publish after Take: %v", err)
	}
}

// With nothing saved, nothing is left of the mark either.
func TestPublishNoticesThatRedisForgotEverything(t *testing.T) {
	private, err := servers.Redis(t.Context(), servers.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	b := open(t, private.URL(), broker.Options{})
	part := batch(t, nil, `{"queue": "q"}`)
	if _, err := publish(t, b, part); err != nil {
		t.Fatal(err)
	}
	private.Kill()
	if err := os.Remove(filepath.Join(private.Dir(), "dump.rdb")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := private.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	part.Mark.Seq = 2
	if _, err := publish(t, b, part); !errors.Is(err, celery.ErrForgot) {
		t.Errorf("Publish after Redis lost everything: %v, want ErrForgot", err)
	}
}

// hostPort is where a server listens.
func hostPort(t *testing.T, s *servers.Server) (host, port string) {
	t.Helper()
	_, address, _ := strings.Cut(s.URL(), "://")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
