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
	network            string   // as for net.Dial
	addresses          []string // as for net.Dial; several stand for each other
	username, password string
	db                 int
	tls                *tls.Config // nil for a plain connection; no ServerName is the address's host

	// master is set if addresses are Sentinels: the name that they know it by. The
	// user and password are then the master's.
	master                         string
	sentinelUser, sentinelPassword string
}

// parseURL reads the URLs that kombu's Redis transport takes: redis://, rediss://
// (TLS), redis+socket:///path?virtual_host=db, sentinel://, and lists of them. Any
// ssl_ parameter turns TLS on, whatever the scheme (kombu 5.6, utils/url.py). All of
// a list have the first one's user, password and database; those of further Sentinels
// are passed over (transport/redis.py).
func parseURL(raw string, transport map[string]any) (target, error) {
	urls, err := address.List(raw)
	if err != nil {
		return target{}, err
	}
	t, err := parseOne(urls[0])
	if err != nil {
		return target{}, err
	}
	sentinel := strings.HasPrefix(urls[0].Scheme, "sentinel")
	for _, u := range urls[1:] {
		other, err := parseOne(u)
		if err != nil {
			return target{}, err
		}
		if !sentinel && (other.username != t.username || other.password != t.password || other.db != t.db || (other.tls == nil) != (t.tls == nil)) {
			return target{}, errors.New("the Redis URLs of a list differ in more than the host: give all the same user, password, database and ssl_ parameters")
		}
		t.addresses = append(t.addresses, other.addresses...)
	}
	if len(t.addresses) > 1 && t.tls != nil && urls[0].Query().Get("ssl_server_hostname") == "" {
		t.tls.ServerName = ""
	}
	if !sentinel {
		return t, nil
	}
	if t.tls != nil && urls[0].Query().Get("ssl_server_hostname") == "" {
		t.tls.ServerName = "" // the master has another name
	}
	return t, t.readSentinel(transport)
}

// readSentinel reads what broker_transport_options say of Sentinel.
func (t *target) readSentinel(transport map[string]any) error {
	t.master, _ = transport["master_name"].(string)
	if t.master == "" {
		return errors.New("a sentinel:// URL needs the master's name: master_name in broker_transport_options")
	}
	given, isMap := transport["sentinel_kwargs"].(map[string]any)
	if transport["sentinel_kwargs"] != nil && !isMap {
		return errors.New("broker_transport_options sentinel_kwargs is no map")
	}
	t.sentinelUser, _ = given["username"].(string)
	t.sentinelPassword, _ = given["password"].(string)
	return nil
}

// Check returns what is wrong with a URL and broker_transport_options. It connects to nothing.
func Check(rawURL string, transport map[string]any) error {
	target, err := parseURL(rawURL, transport)
	if err != nil {
		return err
	}
	_, err = newLayout(transport, target.db)
	return err
}

func parseOne(u *url.URL) (t target, err error) {
	t = target{network: "tcp", username: u.User.Username()}
	t.password, _ = u.User.Password()
	query := u.Query()
	db := u.Path
	if u.Scheme == "redis+socket" {
		t.network, t.addresses, db = "unix", []string{u.Path}, query.Get("virtual_host")
		if u.Path == "" {
			return target{}, errors.New("a redis+socket URL names a path: redis+socket:///run/redis.sock?virtual_host=0")
		}
	} else {
		t.addresses = []string{hostPort(u)}
	}
	if t.db, err = parseDB(db); err != nil {
		return target{}, err
	}
	if u.Scheme == "rediss" || u.Scheme == "valkeys" || u.Scheme == "sentinels" || hasTLS(query) {
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
	if port == "" && strings.HasPrefix(u.Scheme, "sentinel") {
		port = "26379"
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
