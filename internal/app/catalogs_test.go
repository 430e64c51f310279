package app

import (
	"strings"
	"testing"
)

// RedBeat is where the broker is unless told otherwise, by the same TLS.
func TestRedBeatIsReachedAsTheBrokerIs(t *testing.T) {
	for _, tt := range []struct{ broker, tls, want string }{
		{"redis://127.0.0.1:6379/0", `{"ssl_cert_reqs": "perhaps"}`, "ssl_cert_reqs"},
		{"redis://127.0.0.1:6379/0", `{"ssl_cert_reqs": "none"}`, ""},
		{"redis+socket:///run/redis.sock?virtual_host=1", "false", ""},
		{"amqp://127.0.0.1//", "true", "give --redbeat-url"},
		{"", "false", "give --redbeat-url"},
	} {
		config, err := Load(map[string]string{"catalog": "redbeat", "broker": tt.broker}, func(string) string { return "" }, []string{"CELERY_BROKER_USE_SSL=" + tt.tls})
		if err != nil {
			t.Fatal(err)
		}
		_, err = openRedBeat(config)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("beside the broker %s with broker_use_ssl %s: %v, want %q", tt.broker, tt.tls, err, tt.want)
		}
	}
}
