package sqs

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/onebeat/onebeat/internal/broker/address"
)

// A target is what a broker URL and broker_transport_options say.
type target struct {
	access, secret string // empty for AWS's own chain: environment, files, roles
	endpoint       string // empty for AWS
	region         string // empty for AWS's own settings, else us-east-1

	prefix     string            // queue_name_prefix
	base64     bool              // sqs_base64_encoding
	attributes map[string]string // of queues that are made
	tags       map[string]string
	predefined map[string]predefined // by canonical name; nil if queues are looked up
	role       string                // sts_role_arn
	roleFor    int                   // sts_token_timeout, in seconds
}

// A predefined queue is one of predefined_queues.
type predefined struct{ url, region, access, secret string }

// parse reads sqs://KEY:SECRET@host:port, of which all may be left out, and the
// options (kombu 5.7, transport/SQS). Its errors quote nothing of the URL.
func parse(raw string, options map[string]any) (target, error) {
	t := target{base64: true, roleFor: 900}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || address.Misread(u) {
		return t, errors.New("the broker URL can't be read: write sqs://KEY:SECRET@ with signs such as / + % in the secret as %2F %2B %25, or sqs:// to use AWS's own settings")
	}
	t.access = u.User.Username()
	t.secret, _ = u.User.Password()
	if (t.access == "") != (t.secret == "") {
		return t, errors.New("the broker URL has a key without its secret: write sqs://KEY:SECRET@, or sqs:// to use AWS's own settings")
	}
	r := reader{options: options}
	t.region = r.text("region")
	t.prefix = r.text("queue_name_prefix")
	t.role = r.text("sts_role_arn")
	t.base64 = r.flag("sqs_base64_encoding", true)
	t.roleFor = r.number("sts_token_timeout", t.roleFor)
	t.attributes = map[string]string{"VisibilityTimeout": strconv.Itoa(r.number("visibility_timeout", 1800))}
	maps.Copy(t.attributes, r.texts("sqs-creation-attributes"))
	t.tags = r.texts("queue_tags")
	if u.Host != "" {
		scheme := "http"
		if r.flag("is_secure", false) {
			scheme = "https"
		}
		t.endpoint = scheme + "://" + u.Host
	}
	t.predefined = r.queues("predefined_queues")
	return t, errors.Join(r.faults...)
}

// A reader reads options and gathers their faults.
type reader struct {
	options map[string]any
	faults  []error
}

func (r *reader) wrong(name, want string) {
	r.faults = append(r.faults, fmt.Errorf("broker_transport_options %s: it should be %s", name, want))
}

func (r *reader) text(name string) string {
	switch value := r.options[name].(type) {
	case nil:
	case string:
		return value
	default:
		r.wrong(name, "a text")
	}
	return ""
}

func (r *reader) flag(name string, otherwise bool) bool {
	switch value := r.options[name].(type) {
	case nil:
	case bool:
		return value
	default:
		r.wrong(name, "true or false")
	}
	return otherwise
}

func (r *reader) number(name string, otherwise int) int {
	switch value := r.options[name].(type) {
	case nil:
		return otherwise
	case int:
		return value
	case int64:
		return int(value)
	case float64:
		return int(value)
	case string:
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			return int(f)
		}
	}
	r.wrong(name, "a number of seconds")
	return otherwise
}

func (r *reader) texts(name string) map[string]string {
	values, ok := r.options[name].(map[string]any)
	if !ok && r.options[name] != nil {
		r.wrong(name, "a map of names and texts")
	}
	texts := map[string]string{}
	for key, value := range values {
		texts[key] = fmt.Sprint(value)
	}
	return texts
}

// queues reads predefined_queues. As in kombu, names and URLs of FIFO queues end in
// .fifo, both or neither.
func (r *reader) queues(name string) map[string]predefined {
	values, ok := r.options[name].(map[string]any)
	if !ok && r.options[name] != nil {
		r.wrong(name, "a map of queues")
	}
	queues := map[string]predefined{}
	for queue, value := range values {
		given, _ := value.(map[string]any)
		own := reader{options: given}
		p := predefined{own.text("url"), own.text("region"), own.text("access_key_id"), own.text("secret_access_key")}
		switch {
		case p.url == "":
			r.wrong(name, "a map of queues with the url of each; "+strconv.Quote(queue)+" has none")
		case strings.HasSuffix(p.url, ".fifo") != strings.HasSuffix(queue, ".fifo"):
			r.wrong(name, "such that names and urls of FIFO queues both end in .fifo; see "+strconv.Quote(queue))
		}
		queues[queue] = p
	}
	if len(queues) == 0 {
		return nil
	}
	return queues
}

// canonical is a queue's name as SQS has it: dots are dashes, other punctuation is
// an underscore, and .fifo stays at the end.
func (t target) canonical(queue string) string {
	name, fifo := strings.CutSuffix(t.prefix+queue, ".fifo")
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '.':
			return '-'
		case r == '-', r == '_':
		case r < 0x80 && strings.ContainsRune(punctuation, r):
			return '_'
		}
		return r
	}, name)
	if fifo {
		name += ".fifo"
	}
	return name
}

// punctuation is Python's string.punctuation.
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
