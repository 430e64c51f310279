package amqp

import (
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// The virtual hosts are what kombu 5.6's Connection(url).virtual_host gives.
func TestParseURL(t *testing.T) {
	for _, tt := range []struct{ url, address, vhost, username, password string }{
		{"amqp://", "127.0.0.1:5672", "/", "guest", "guest"},
		{"amqp://h", "h:5672", "/", "guest", "guest"},
		{"amqp://h/", "h:5672", "/", "guest", "guest"},
		{"amqp://h//", "h:5672", "/", "guest", "guest"},
		{"amqp://h/%2F", "h:5672", "/", "guest", "guest"},
		{"amqp://h/v", "h:5672", "v", "guest", "guest"},
		{"amqp://h//v", "h:5672", "/v", "guest", "guest"},
		{"amqp://h/v%2Fw", "h:5672", "v/w", "guest", "guest"},
		{"pyamqp://me:p%40ss%2F@h:7/v", "h:7", "v", "me", "p@ss/"},
		{"amqps://[::1]/v", "[::1]:5671", "v", "guest", "guest"},
	} {
		got, err := parseOne(tt.url)
		if err != nil {
			t.Errorf("parseURL(%s): %v", tt.url, err)
			continue
		}
		login, ok := got.login.(*amqp091.PlainAuth)
		if !ok || got.address != tt.address || got.vhost != tt.vhost || login.Username != tt.username || login.Password != tt.password {
			t.Errorf("parseURL(%s) = %s, vhost %s, login %v, want %+v", tt.url, got.address, got.vhost, got.login, tt)
		}
		if (got.tls != nil) != strings.HasPrefix(tt.url, "amqps") {
			t.Errorf("parseURL(%s): TLS %v", tt.url, got.tls != nil)
		}
	}
}

func TestParseURLOptions(t *testing.T) {
	got, err := parseOne("amqps://h/v?heartbeat=30&connect_timeout=2.5&ssl_cert_reqs=none&login_method=EXTERNAL")
	if err != nil {
		t.Fatal(err)
	}
	if got.heartbeat != 30*time.Second || got.dialWait != 2500*time.Millisecond || !got.tls.InsecureSkipVerify || got.login.Mechanism() != "EXTERNAL" {
		t.Errorf("parseURL = %+v", got)
	}
	if got, err = parseOne("amqps://h/v"); err != nil || got.tls.InsecureSkipVerify || got.tls.ServerName != "h" || got.heartbeat != time.Second {
		t.Errorf("parseURL(amqps://h/v) = %+v, %v, want verified TLS and a heartbeat of 1s", got, err)
	}
	for _, bad := range []string{
		"amqp://h/v?heartbeat=soon", "amqp://h/v?heartbeat=0", "amqps://h?ssl_cert_reqs=maybe", "amqp://h/?login_method=GUESS",
		"amqp://a:secret@h;redis://a:secret@i", "amqp://a:sec ret%@h/", "amqp://a:12/secret@h/v", "amqp://a:12#secret@h/v", "amqp://a:1@b:12#secret@h/v",
	} {
		if _, err := parseOne(bad); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret") {
			t.Errorf("parseURL(%s): %v, want an error without the password", bad, err)
		}
	}
}

func parseOne(raw string) (target, error) {
	targets, err := parseURLs(raw)
	if err != nil {
		return target{}, err
	}
	return targets[0], nil
}

func TestParseURLs(t *testing.T) {
	targets, err := parseURLs("amqp://a:1@h1/v;amqp://b:2@h2:7/w;")
	if err != nil || len(targets) != 2 || targets[0].address != "h1:5672" || targets[1].address != "h2:7" || targets[1].vhost != "w" {
		t.Errorf("parseURLs = %+v, %v, want h1:5672 and h2:7", targets, err)
	}
}
