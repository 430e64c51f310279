package celery

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Python writes numbers that JSON has not; what is like them within a text stays.
func TestRepliesOfPythons(t *testing.T) {
	d := Delivery{Headers: map[string]any{"ticket": "conf"}, Body: []byte(`{"celery@one": {"a": Infinity, "b": [-Infinity, NaN, -5], "c": "NaN \" Infinity", "d": "\\", "e": NaN, "f": null}}`)}
	replies, err := ReadReplies(d)
	if err != nil || len(replies) != 1 {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	if r := replies[0]; r.Ticket != "conf" || r.Worker != "celery@one" || string(r.Answer) != `{"a": null, "b": [null, null, -5], "c": "NaN \" Infinity", "d": "\\", "e": null, "f": null}` {
		t.Errorf("the reply is %+v: %s", r, r.Answer)
	}
	if _, err := ReadReplies(Delivery{Body: []byte("secret")}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a body that is not JSON: %v", err)
	}
}

// A request is read as the message of any envelope is.
func TestControlEnvelope(t *testing.T) {
	body, err := Request{Method: "ping", Ticket: "t", Workers: []string{"a@b"}}.Body("x", "y")
	if err != nil {
		t.Fatal(err)
	}
	text, err := AppendControlEnvelope(nil, body, Exchanges{}.Control(), time.UnixMilli(1500), "tag")
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseEnvelope(text)
	if err != nil || d.Exchange != "celery.pidbox" || d.Headers["expires"] != json.Number("1.5") || d.Properties["delivery_tag"] != "tag" {
		t.Errorf("ParseEnvelope(%s) = %+v, %v", text, d, err)
	}
	if got, want := string(d.Body), `{"arguments":{},"destination":["a@b"],"matcher":null,"method":"ping","pattern":null,"reply_to":{"exchange":"x","routing_key":"y"},"ticket":"t"}`; got != want {
		t.Errorf("the body is\n%s, want\n%s", got, want)
	}
	for _, bad := range []string{"", "[]", "{}", `{"properties": {"body_encoding": "base64"}, "body": "%"}`} {
		if _, err := ParseEnvelope([]byte(bad)); err == nil {
			t.Errorf("ParseEnvelope(%q) is no error", bad)
		}
	}
}
