package mysqlurl

import (
	"strings"
	"testing"
)

// What Python's drivers, and those who sell databases, write of TLS into a URL means the same here.
func TestTLS(t *testing.T) {
	const none, preferred, trusting, verified = "none", "preferred", "trusting", "verified"
	for _, tt := range []struct{ query, want string }{
		{"", none},
		{"charset=utf8mb4&connect_timeout=5", none},
		{"ssl=true", verified},
		{"ssl=false", none},
		{"ssl=0", none},
		{"ssl_disabled=true", none},
		{"ssl_disabled=True&ssl_verify_cert=true", none},
		{"ssl_disabled=false", none},
		{"ssl_disabled=false&ssl=true", verified},
		{"ssl_mode=DISABLED", none},
		{"ssl_mode=disabled&ssl_verify_cert=true", none},
		{"ssl_mode=PREFERRED", preferred},
		{"ssl_mode=REQUIRED", trusting},
		{"ssl-mode=REQUIRED", trusting},
		{"ssl_mode=VERIFY_IDENTITY", verified},
		{"ssl_verify_cert=false", trusting},
		{"ssl_verify_cert=False", trusting},
		{"ssl_verify_cert=true", verified},
		{"ssl_mode=perhaps", "fault: the URL's parameter ssl_mode"},
		{"ssl_disabled=perhaps", "fault: the URL's parameter ssl_disabled"},
		{"ssl_odd=1", "fault: the URL's parameter ssl_odd is not known"},
		{"ssl_ca=none.pem", "fault: the URL's parameters of TLS: open none.pem"},
		{"odd=1", "fault: the URL's parameter odd is not known"},
	} {
		config, err := Parse("the URL", "u:p@h/d?"+tt.query)
		got := none
		switch {
		case err != nil:
			got = "fault: " + err.Error()
		case config.TLS != nil && config.AllowFallbackToPlaintext:
			got = preferred
		case config.TLS != nil && config.TLS.InsecureSkipVerify:
			got = trusting
		case config.TLS != nil:
			got = verified
		}
		if got != tt.want && !(strings.HasPrefix(tt.want, "fault") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q: %s, want %s", tt.query, got, tt.want)
		}
	}
}
