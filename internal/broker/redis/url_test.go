package redis

import (
	"reflect"
	"strings"
	"testing"
)

// The databases and addresses are what kombu 5.6 connects to.
func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want target
	}{
		{"redis://", target{network: "tcp", addresses: []string{"127.0.0.1:6379"}}},
		{"redis://h/", target{network: "tcp", addresses: []string{"h:6379"}}},
		{"redis://:pw@h:7/2", target{network: "tcp", addresses: []string{"h:7"}, password: "pw", db: 2}},
		{"redis://user:p%40w%2F@h:7/2", target{network: "tcp", addresses: []string{"h:7"}, username: "user", password: "p@w/", db: 2}},
		{"redis://h:7//2", target{network: "tcp", addresses: []string{"h:7"}, db: 2}},
		{"redis://[::1]:7", target{network: "tcp", addresses: []string{"[::1]:7"}}},
		{"redis://:pw@h/2;redis://:pw@i:7/2", target{network: "tcp", addresses: []string{"h:6379", "i:7"}, password: "pw", db: 2}},
		{"redis+socket:///run/redis.sock?virtual_host=3", target{network: "unix", addresses: []string{"/run/redis.sock"}, db: 3}},
		{"redis+socket://:pw@/run/redis.sock", target{network: "unix", addresses: []string{"/run/redis.sock"}, password: "pw"}},
	} {
		if got, err := parseURL(tt.url, nil); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("parseURL(%s) = %+v, %v, want %+v", tt.url, got, err, tt.want)
		}
	}
}

func TestParseURLVerifiesTLS(t *testing.T) {
	for url, skip := range map[string]bool{
		"rediss://h/0":                                false,
		"valkeys://h/0":                               false,
		"redis://h/2?ssl_cert_reqs=required":          false,
		"rediss://h/0?ssl_cert_reqs=none":             true,
		"rediss://h/0?ssl_cert_reqs=CERT_NONE":        true,
		"rediss://h/0?ssl_cert_reqs=optional":         false,
		"rediss://h/0?ssl_check_hostname=false":       true, // the chain is verified by itself
		"rediss://:pw@h:6380/1?ssl_server_hostname=h": false,
	} {
		got, err := parseURL(url, nil)
		if err != nil || got.tls == nil || got.tls.InsecureSkipVerify != skip || got.tls.ServerName != "h" {
			t.Errorf("parseURL(%s) = %+v, %v, want TLS to h with InsecureSkipVerify %v", url, got, err, skip)
			continue
		}
		if chain := got.tls.VerifyConnection != nil; chain != strings.Contains(url, "check_hostname") {
			t.Errorf("parseURL(%s) verifies the chain alone: %v", url, chain)
		}
	}
}

func TestParseURLFaults(t *testing.T) {
	for _, url := range []string{
		"redis://:secret@h/zero", "redis://:secret@h/-1", "redis://:secret@h;redis://:secret@i/1", "redis://:secret@h;rediss://:secret@i", "sentinel://:secret@h", "redis://:sec%ret@h/0",
		"rediss://:secret@h/0?ssl_cert_reqs=maybe", "rediss://:secret@h/0?ssl_ca_certs=/no/such/file", "rediss://:secret@h/0?ssl_what=1",
		"redis+socket://:secret@", "redis://:12/secret@h:6379/0", "redis://:12?secret@h/0", "redis://:12#secret@h/0", "redis://u:12/0?secret@h", "rediss://:secret@h/0?ssl_keyfile=/k",
	} {
		if _, err := parseURL(url, nil); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec%ret") {
			t.Errorf("parseURL(%s): %v, want an error without the password", url, err)
		}
	}
}

func TestNewLayoutFaults(t *testing.T) {
	for name, value := range map[string]any{
		"global_keyprefix": 1, "sep": false, "fanout_prefix": 3, "fanout_patterns": "yes", "priority_steps": "0,3", "deadletter_queue": 1,
	} {
		if _, err := newLayout(map[string]any{name: value}, 0); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("newLayout(%s: %v): %v, want an error that names it", name, value, err)
		}
	}
}

// The channels are those of kombu 5.6's Channel._get_publish_topic.
func TestLayoutChannel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options map[string]any
		want    string
	}{
		{"by default", nil, "/8.celeryev/task.sent"},
		{"prefixed", map[string]any{"global_keyprefix": "pfx:"}, "pfx:/8.celeryev/task.sent"},
		{"without patterns", map[string]any{"fanout_patterns": false}, "/8.celeryev"},
		{"without prefix and patterns", map[string]any{"fanout_prefix": false, "fanout_patterns": false}, "celeryev"},
		{"with a prefix of its own", map[string]any{"fanout_prefix": "x{db}-"}, "x8-celeryev/task.sent"},
	} {
		l, err := newLayout(tt.options, 8)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.channel("celeryev", "task.sent"); got != tt.want {
			t.Errorf("%s: channel = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The database and the password are those of the first URL, as kombu 5.6 has it.
func TestParseURLOfSentinels(t *testing.T) {
	options := map[string]any{"master_name": "mymaster", "sentinel_kwargs": map[string]any{"password": "spw"}}
	got, err := parseURL("sentinel://:pw@a:26380/3;sentinel://b;sentinel://:other@c/1", options)
	want := target{
		network: "tcp", addresses: []string{"a:26380", "b:26379", "c:26379"}, password: "pw", db: 3, master: "mymaster", sentinelPassword: "spw",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parseURL = %+v, %v, want %+v", got, err, want)
	}
	if got, err = parseURL("sentinels://a", options); err != nil || got.tls == nil || got.tls.InsecureSkipVerify || got.tls.ServerName != "" {
		t.Errorf("parseURL = %+v, %v, want verified TLS with the name of whoever is reached", got, err)
	}
	options["sentinel_kwargs"] = "password"
	if _, err := parseURL("sentinel://a", options); err == nil {
		t.Error("sentinel_kwargs that are no map: no error")
	}
}
