// Package address reads what broker URLs have in common, and prints them
// without their secrets.
//
// The spellings are those of kombu, since the URL is the one that the workers
// are started with: user, password, host and path are percent-encoded, and
// query parameters with the prefix "ssl_" describe TLS. Unlike kombu, a TLS
// connection verifies the server's certificate and name unless the URL says
// ssl_cert_reqs=none.
package address

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// List reads a broker URL, or several with semicolons between them, which stand for
// each other in that order.
func List(raw string) ([]*url.URL, error) {
	var urls []*url.URL
	for one := range strings.SplitSeq(raw, ";") {
		if strings.TrimSpace(one) == "" {
			continue // kombu's examples end in a semicolon
		}
		u, err := Parse(one)
		if err != nil {
			return nil, err
		}
		if len(urls) > 0 && u.Scheme != urls[0].Scheme {
			return nil, fmt.Errorf("the broker URLs begin with %s:// and %s://: all of a list are of one kind", urls[0].Scheme, u.Scheme)
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, errors.New("the broker URL is empty")
	}
	return urls, nil
}

// Parse reads one broker URL. Its errors never quote the URL, for the password
// in it.
func Parse(raw string) (*url.URL, error) {
	if strings.Contains(raw, ";") {
		return nil, errors.New("the broker URL is a list (it has a ';'): give one URL")
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme == "" || Misread(u) {
		return nil, errors.New("the broker URL cannot be read: it should look like redis://:password@host:6379/0, with special characters percent-encoded")
	}
	return u, nil
}

// Misread reports whether what follows the host must be the rest of a password: one that
// begins with digits, as in redis://:12/34@host, reads as a port when a / ? or # in it is
// not percent-encoded. Its user is then taken for the host, and connected to. Of one that has an @ before its /,
// as in redis://:12@3/4@host:6379, it is what stands between them.
func Misread(u *url.URL) bool {
	switch {
	case u.Host == "": // a path is all there is
		return false
	case u.Fragment != "": // which no such URL has
		return true
	case u.User != nil:
		_, host, found := strings.Cut(u.EscapedPath(), "@") // a virtual host may have an @, but nothing of a URL behind it
		return found && strings.ContainsAny(host, ":/")
	}
	for name := range u.Query() {
		if strings.Contains(name, "@") {
			return true
		}
	}
	return strings.Contains(u.EscapedPath(), "@")
}

// clientOnly are parameters of libpq, and one of psycopg, that are of the client alone and change nothing here. To a server they
// would be settings that it does not know.
var clientOnly = []string{
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "gssencmode", "gsslib", "gssdelegation",
	"sslcompression", "fallback_application_name", "load_balance_hosts", "prepare_threshold",
}

// ForServer takes what is of no use here out of the parameters of a URL of PostgreSQL.
func ForServer(query url.Values) {
	for _, name := range clientOnly {
		if name != "gssencmode" || query.Get(name) != "require" { // which is not done here
			query.Del(name)
		}
	}
}

// hidden stands for a secret, as in url.URL.Redacted.
const hidden = "xxxxx"

var (
	// secretName is what names of parameters that may hold a secret have in them.
	secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential`)

	// passwordAlone are the schemes of servers that are mostly given a password and no user: a user without a password is one
	// whose colon was forgotten.
	passwordAlone = regexp.MustCompile(`^(redis|valkey|sentinel)`)
)

// Redact returns the URL with its password, and any query parameter that may
// hold one, replaced. What cannot be parsed is not shown at all.
func Redact(raw string) string {
	urls, err := List(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	var shown []string
	for _, u := range urls {
		shown = append(shown, redact(u))
	}
	return strings.Join(shown, ";")
}

func redact(u *url.URL) string {
	query := u.Query()
	for name := range query {
		if secretName.MatchString(name) {
			query.Set(name, hidden)
		}
	}
	u.RawQuery = query.Encode()
	if _, has := u.User.Password(); !has && u.User.Username() != "" && passwordAlone.MatchString(u.Scheme) {
		u.User = url.User(hidden)
	}
	return u.Redacted()
}

// TLS reads the ssl_* parameters of a query: ssl_cert_reqs (required, optional
// or none, also in Python's spelling CERT_REQUIRED), ssl_ca_certs, ssl_certfile,
// ssl_keyfile, ssl_check_hostname and ssl_server_hostname. A client has no use
// for "optional", so that it means required. The server's name is host unless
// told otherwise.
func TLS(host string, query url.Values) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	for name, values := range query {
		option, ours := strings.CutPrefix(name, "ssl_")
		if !ours || len(values) == 0 {
			continue
		}
		if err := set(config, option, values[0], query); err != nil {
			return nil, fmt.Errorf("broker URL parameter %s: %w", name, err)
		}
	}
	if !config.InsecureSkipVerify && isFalse(query.Get("ssl_check_hostname")) {
		verifyChainOnly(config)
	}
	return config, nil
}

// WithTLS returns a list of URLs in which each has the options as its ssl_
// parameters, but for those that it has already. The options may have that prefix.
func WithTLS(raw string, options map[string]any) (string, error) {
	urls, err := List(raw)
	if err != nil {
		return "", err
	}
	var all []string
	for _, u := range urls {
		query := u.Query()
		if strings.Contains(u.Scheme, "amqp") {
			query.Set("ssl", "true")
		} else if len(options) == 0 && !query.Has("ssl_cert_reqs") {
			query.Set("ssl_cert_reqs", "required")
		}
		for name, value := range options {
			parameter := "ssl_" + strings.TrimPrefix(name, "ssl_")
			if value == nil || query.Has(parameter) {
				continue
			}
			text := fmt.Sprint(value)
			if n, isNumber := value.(int); isNumber && parameter == "ssl_cert_reqs" && n >= 0 && n <= 2 {
				text = []string{"none", "optional", "required"}[n] // Python's ssl.CERT_NONE and so on
			}
			query.Set(parameter, text)
		}
		u.RawQuery = query.Encode()
		all = append(all, u.String())
	}
	return strings.Join(all, ";"), nil
}

func set(config *tls.Config, option, value string, query url.Values) error {
	switch option {
	case "cert_reqs":
		switch strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(value), "ssl."), "cert_") {
		case "required", "optional":
		case "none":
			config.InsecureSkipVerify = true
		default:
			return fmt.Errorf("%q is none of required, optional, none", value)
		}
	case "ca_certs":
		pem, err := os.ReadFile(value)
		if err != nil {
			return err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no PEM certificate", value)
		}
	case "certfile":
		key := query.Get("ssl_keyfile")
		if key == "" {
			key = value // one file may hold both, as Python's load_cert_chain allows
		}
		pair, err := tls.LoadX509KeyPair(value, key)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{pair}
	case "keyfile":
		if query.Get("ssl_certfile") == "" {
			return errors.New("it needs ssl_certfile beside it")
		}
	case "server_hostname":
		config.ServerName = value
	case "check_hostname":
		if _, err := strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	default:
		return errors.New("it is not known")
	}
	return nil
}

// verifyChainOnly verifies that the certificate comes from a trusted authority
// and leaves out whose name it bears.
func verifyChainOnly(config *tls.Config) {
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, certificate := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}

func isFalse(value string) bool {
	b, err := strconv.ParseBool(value)
	return err == nil && !b
}

// Explain adds to an error of TLS, once, what a person can do about it.
func Explain(err error) error {
	var already *explained
	if errors.As(err, &already) {
		return err
	}
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var alert tls.AlertError
	var plain tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &plain):
		return &explained{err, "the server does no TLS at this port: name the one where it does, or leave TLS out of the broker URL (redis://, amqp://)"}
	case errors.As(err, &name):
		return &explained{err, "ssl_server_hostname=NAME in the broker URL says which name to expect, ssl_check_hostname=false that any will do"}
	case errors.As(err, &authority):
		return &explained{err, "ssl_ca_certs=FILE in the broker URL names the authority's certificate, ssl_cert_reqs=none trusts any"}
	case errors.As(err, &invalid):
		return &explained{err, "the server needs another certificate; ssl_cert_reqs=none in the broker URL trusts any"}
	case errors.As(err, &alert):
		return &explained{err, "the server broke off: it may want another certificate of ours, ssl_certfile and ssl_keyfile in the broker URL"}
	}
	return err
}

// An explained error says what to do.
type explained struct {
	err  error
	hint string
}

func (e *explained) Error() string { return e.err.Error() + "; " + e.hint }
func (e *explained) Unwrap() error { return e.err }
