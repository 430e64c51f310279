package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

// Three Sentinels, a master and a replica; the master is killed in the middle of
// publishing. What the replica had is there once; what it lacked is noticed, and
// arrives when it is sent again.
func TestSentinelFailsOver(t *testing.T) {
	run := func(s *servers.Server, err error) *servers.Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	master := run(servers.Redis(t.Context(), servers.RedisOptions{}))
	host, port := hostPort(t, master)
	replica := run(servers.Redis(t.Context(), servers.RedisOptions{Arguments: []string{"--replicaof", host, port}}))
	follows := connect(t, replica.URL())
	await(t, "the replica follows", func() bool {
		info, err := follows.Do(t.Context(), follows.B().Info().Section("replication").Build()).ToString()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	var urls []string
	var watching []rueidis.Client
	for range 3 {
		sentinel := run(servers.Sentinel(t.Context(), master, 2))
		urls = append(urls, sentinel.URL()+"/3")
		watching = append(watching, connect(t, strings.Replace(sentinel.URL(), "sentinel", "redis", 1)))
	}
	for _, sentinel := range watching {
		await(t, "the Sentinels know each other and the replica", func() bool {
			known, err := sentinel.Do(t.Context(), sentinel.B().Arbitrary("SENTINEL", "MASTER", "main").Build()).AsStrMap()
			return err == nil && known["num-other-sentinels"] == "2" && known["num-slaves"] == "1"
		})
	}

	b, err := broker.Open(strings.Join(urls, ";"), broker.Options{
		Installation: unique("sentinel"), Logger: slog.New(slog.DiscardHandler),
		TransportOptions: map[string]any{"master_name": "main"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}

	const parts = 400
	ids := make([]string, parts+1)
	forgot := 0
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for seq := int64(1); seq <= parts; {
		part := batch(t, nil, `{"queue": "q"}`)
		if ids[seq] != "" {
			part.Messages[0].ID = ids[seq]
		}
		ids[seq] = part.Messages[0].ID
		part.Mark.Seq = seq
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		_, err := b.Publish(attempt, part)
		done()
		switch {
		case err == nil:
			if seq == parts/2 && forgot == 0 {
				master.Kill()
			}
			seq++
		case errors.Is(err, celery.ErrForgot):
			forgot++
			mark, err := b.Take(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			seq = mark.Seq + 1
		case ctx.Err() != nil:
			t.Fatalf("Publish of part %d: %v", seq, err)
		}
	}
	t.Logf("the new master lacked something %d times", forgot)
	promoted := connect(t, replica.URL()+"/3")
	got := pop(t, promoted, "q")
	if len(got) != parts {
		t.Errorf("the new master has %d messages, want %d", len(got), parts)
	}
	for i, m := range got {
		if i < parts && m.ID != ids[i+1] {
			t.Fatalf("message %d is %s, want %s", i, m.ID, ids[i+1])
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for !done() {
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
