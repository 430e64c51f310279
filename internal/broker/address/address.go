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
	"strconv"
	"strings"
)

// Parse reads one broker URL. Its errors never quote the URL, for the password
// in it.
func Parse(raw string) (*url.URL, error) {
	if strings.Contains(raw, ";") {
		return nil, errors.New("the broker URL is a list (it has a ';'): give one URL")
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme == "" {
		return nil, errors.New("the broker URL cannot be read: it should look like redis://:password@host:6379/0, with special characters percent-encoded")
	}
	return u, nil
}

// Redact returns the URL with its password, and any query parameter that may
// hold one, replaced. What cannot be parsed is not shown at all.
func Redact(raw string) string {
	u, err := Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") || strings.Contains(name, "secret") || strings.Contains(name, "token") {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
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

func set(config *tls.Config, option, value string, query url.Values) error {
	switch option {
	case "cert_reqs":
		switch strings.TrimPrefix(strings.ToLower(value), "cert_") {
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
