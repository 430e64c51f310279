package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/onebeat/onebeat/internal/broker/address"
)

// A target is what a Redis URL names.
type target struct {
	network, address   string // as for net.Dial
	username, password string
	db                 int
	tls                *tls.Config // nil for a plain connection
}

// parseURL reads the URLs that kombu's Redis transport takes: redis://, rediss://
// (TLS) and redis+socket:///path?virtual_host=db. Any ssl_ parameter turns TLS on,
// whatever the scheme (kombu 5.6, utils/url.py).
func parseURL(raw string) (target, error) {
	u, err := address.Parse(raw)
	if err != nil {
		return target{}, err
	}
	t := target{network: "tcp", username: u.User.Username()}
	t.password, _ = u.User.Password()
	query := u.Query()
	db := u.Path
	if u.Scheme == "redis+socket" {
		t.network, t.address, db = "unix", u.Path, query.Get("virtual_host")
		if t.address == "" {
			return target{}, errors.New("a redis+socket URL names a path: redis+socket:///run/redis.sock?virtual_host=0")
		}
	} else {
		t.address = hostPort(u)
	}
	if t.db, err = parseDB(db); err != nil {
		return target{}, err
	}
	if u.Scheme == "rediss" || u.Scheme == "valkeys" || hasTLS(query) {
		if t.network == "unix" {
			return target{}, errors.New("a redis+socket URL takes no ssl_ parameters")
		}
		host := u.Hostname()
		if host == "" {
			host = "127.0.0.1"
		}
		t.tls, err = address.TLS(host, query)
	}
	return t, err
}

func hostPort(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "6379"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func parseDB(path string) (int, error) {
	path = strings.TrimLeft(path, "/")
	if path == "" {
		return 0, nil
	}
	db, err := strconv.Atoi(path)
	if err != nil || db < 0 {
		return 0, fmt.Errorf("the Redis URL ends in %q: it should be the number of a database, such as /0", path)
	}
	return db, nil
}

func hasTLS(query url.Values) bool {
	for name := range query {
		if strings.HasPrefix(name, "ssl_") {
			return true
		}
	}
	return false
}
