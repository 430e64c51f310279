package amqp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/broker/address"
)

const (
	// dialWait bounds connecting and all handshakes, unless the URL has a
	// connect_timeout (broker_connection_timeout of Celery).
	dialWait = 4 * time.Second

	// heartbeatInterval holds unless the URL has a heartbeat. It is the shortest that
	// AMQP has: RabbitMQ lets go of a node that froze after two to three of them, which
	// has to be before the lease ends.
	heartbeatInterval = time.Second

	// writeWait bounds one write: a broker that stops reading would otherwise
	// hold it until the heartbeat fails.
	writeWait = 5 * time.Second
)

// A target is what an AMQP URL names.
type target struct {
	address, vhost string
	login          amqp091.Authentication
	tls            *tls.Config // nil for a plain connection
	dialWait       time.Duration
	heartbeat      time.Duration
}

// parseURLs reads a list of URLs.
func parseURLs(raw string) (targets []target, err error) {
	urls, err := address.List(raw)
	if err != nil {
		return nil, err
	}
	for _, u := range urls {
		t, err := parseURL(u)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// parseURL reads the URLs that kombu's AMQP transport takes (kombu 5.6,
// utils/url.py and transport/pyamqp.py): amqp and pyamqp are plain, amqps is TLS,
// the path is the virtual host.
func parseURL(u *url.URL) (t target, err error) {
	t = target{dialWait: dialWait, heartbeat: heartbeatInterval}
	if t.vhost, err = vhost(u); err != nil {
		return target{}, err
	}
	host, query := cmp.Or(u.Hostname(), "127.0.0.1"), u.Query()
	port := "5672"
	if u.Scheme == "amqps" || query.Get("ssl") == "true" || query.Get("ssl") == "1" {
		port = "5671"
		if t.tls, err = address.TLS(host, query); err != nil {
			return target{}, err
		}
	}
	t.address = net.JoinHostPort(host, cmp.Or(u.Port(), port))
	if t.login, err = login(u, query.Get("login_method")); err != nil {
		return target{}, err
	}
	return t, errors.Join(
		seconds(query, "heartbeat", &t.heartbeat),
		seconds(query, "connect_timeout", &t.dialWait),
	)
}

// vhost reads the path: one slash separates it from the host, and nothing after
// it stands for "/".
func vhost(u *url.URL) (string, error) {
	name, err := url.PathUnescape(strings.TrimPrefix(u.EscapedPath(), "/"))
	if err != nil {
		return "", errors.New("the virtual host in the broker URL is not percent-encoded rightly")
	}
	return cmp.Or(name, "/"), nil
}

func login(u *url.URL, method string) (amqp091.Authentication, error) {
	username := cmp.Or(u.User.Username(), "guest")
	password, given := u.User.Password()
	if !given {
		password = "guest"
	}
	switch method {
	case "", "PLAIN":
		return &amqp091.PlainAuth{Username: username, Password: password}, nil
	case "AMQPLAIN":
		return &amqp091.AMQPlainAuth{Username: username, Password: password}, nil
	case "EXTERNAL":
		return &amqp091.ExternalAuth{}, nil
	}
	return nil, fmt.Errorf("the broker URL's login_method %q is none of PLAIN, AMQPLAIN, EXTERNAL", method)
}

func seconds(query url.Values, name string, to *time.Duration) error {
	text := query.Get(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 1 || n > 3600 {
		return fmt.Errorf("the broker URL's %s is %q: it should be a number of seconds from 1 to 3600", name, text)
	}
	*to = time.Duration(n * float64(time.Second))
	return nil
}

// dial connects, and returns the socket beside the connection, so that it can be
// cut at once.
func (t target) dial(ctx context.Context, name string) (*amqp091.Connection, *socket, error) {
	ctx, cancel := context.WithTimeout(ctx, t.dialWait)
	defer cancel()
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if t.tls != nil {
		dialer = &tls.Dialer{Config: t.tls}
	}
	dialled, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, nil, address.Explain(err)
	}
	socket := &socket{Conn: dialled}
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	connection, err := amqp091.Open(socket, amqp091.Config{
		SASL:       []amqp091.Authentication{t.login},
		Vhost:      t.vhost,
		Heartbeat:  t.heartbeat,
		Locale:     "en_US",
		Properties: amqp091.Table{"connection_name": name, "product": "onebeat"},
	})
	var told *amqp091.Error
	if !stop() && !(errors.As(err, &told) && told.Server) {
		err = ctx.Err() // rather than the cut connection
	}
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	return connection, socket, nil
}
