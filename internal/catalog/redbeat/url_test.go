package redbeat

import (
	"crypto/tls"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// The URL is the broker's unless another is given: what is said of TLS in that, or of a socket, holds here too.
func TestURLsAreThoseOfTheBroker(t *testing.T) {
	authority := brokertest.NewAuthority(t)
	pair, err := tls.LoadX509KeyPair(authority.Issue(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	secure := miniredis.NewMiniRedis()
	if err := secure.StartTLS(&tls.Config{Certificates: []tls.Certificate{pair}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	for _, tt := range []struct {
		url  string
		good bool
	}{
		{"rediss://" + secure.Addr() + "/0", false},
		{"rediss://" + secure.Addr() + "/0?ssl_cert_reqs=none", true},
		{"rediss://" + secure.Addr() + "/0?ssl_cert_reqs=CERT_NONE", true},
		{"rediss://" + secure.Addr() + "/0?ssl_ca_certs=" + url.QueryEscape(authority.File), true},
		{"redis://" + secure.Addr() + "/0?ssl_ca_certs=" + url.QueryEscape(authority.File), true},
	} {
		r, err := New(tt.url, Options{Prefix: DefaultPrefix, Zone: "UTC"})
		if err != nil {
			t.Errorf("New(%s): %v", tt.url, err)
			continue
		}
		r.option.ForceSingleClient = true // miniredis answers as a cluster does too
		if _, err := r.Read(t.Context()); (err == nil) != tt.good {
			t.Errorf("Read of %s: %v; want it to be read: %v", tt.url, err, tt.good)
		}
		r.Close()
	}
	if _, err := New("rediss://h/0?ssl_cert_reqs=perhaps", Options{}); err == nil {
		t.Error("a parameter that says nothing is taken")
	}

	socket := filepath.Join(t.TempDir(), "redis.sock")
	r, err := New("redis+socket://"+socket+"?virtual_host=3", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.option; len(got.InitAddress) != 1 || got.InitAddress[0] != socket || got.SelectDB != 3 {
		t.Errorf("of a socket it reads %q, database %d; want %s, 3", got.InitAddress, got.SelectDB, socket)
	}
}
