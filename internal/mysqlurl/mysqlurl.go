// Package mysqlurl reads URLs of MySQL and MariaDB as SQLAlchemy writes them.
//
// User, password and database are percent-encoded. Parameters of Python's drivers
// that change nothing here are taken and ignored, those of TLS are understood, and
// others are errors. TLS, where it is asked for, verifies the server's certificate
// and name unless the URL says otherwise.
package mysqlurl

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/onebeat/onebeat/internal/broker/address"
)

// ignored are parameters of Python's drivers that change nothing here.
var ignored = map[string]bool{
	"charset": true, "use_unicode": true, "autocommit": true, "connect_timeout": true, "read_timeout": true, "write_timeout": true,
	"binary_prefix": true, "local_infile": true,
}

// Parse reads what follows mysql:// in a URL. What names the URL in errors, as in
// "the broker URL"; they are one line and quote nothing that may be a password.
// The configuration counts found rows, reads instants as UTC and sends each statement in
// one round trip, with its arguments.
func Parse(what, rest string) (*mysql.Config, error) {
	u, err := address.Parse("mysql://" + rest)
	if err != nil { // its words are of Redis
		return nil, fmt.Errorf("%s can't be read: write signs such as @ : / ? # %% ; in the password as %%40 %%3A %%2F %%3F %%23 %%25 %%3B", what)
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("%s names no database: end it in /name", what)
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", hostPort(u)
	config.ClientFoundRows = true
	config.InterpolateParams = true // one round trip, no statement stays behind
	config.Loc, config.ParseTime = time.UTC, true
	config.Logger = &mysql.NopLogger{}
	query := url.Values{}
	for name, values := range u.Query() {
		if rest, found := strings.CutPrefix(name, "ssl-"); found { // as some who sell databases write it
			name = "ssl_" + rest
		}
		query[name] = values
	}
	for name, values := range query {
		switch {
		case name == "unix_socket":
			config.Net, config.Addr = "unix", values[0]
		case !strings.HasPrefix(name, "ssl") && !ignored[name]:
			return nil, fmt.Errorf("%s's parameter %s is not known for MySQL", what, name)
		}
	}
	secure, err := wantsTLS(what, query)
	if err != nil {
		return nil, err
	}
	if secure {
		if config.TLS, err = readTLS(what, u.Hostname(), query); err != nil {
			return nil, err
		}
		config.AllowFallbackToPlaintext = strings.EqualFold(query.Get("ssl_mode"), "PREFERRED")
	}
	return config, nil
}

// wantsTLS says whether the parameters ask for TLS: any that is of it does, but for those that switch it off.
func wantsTLS(what string, query url.Values) (bool, error) {
	if text := query.Get("ssl_disabled"); text != "" {
		off, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("%s's parameter ssl_disabled: %q is neither true nor false", what, text)
		}
		if off {
			return false, nil
		}
	}
	if strings.EqualFold(query.Get("ssl_mode"), "DISABLED") {
		return false, nil
	}
	for name, values := range query {
		if strings.HasPrefix(name, "ssl") && name != "ssl_disabled" && (name != "ssl" || !isFalse(values[0])) {
			return true, nil
		}
	}
	return false, nil
}

func isFalse(text string) bool {
	yes, err := strconv.ParseBool(text)
	return err == nil && !yes
}

// readTLS reads the names that PyMySQL and mysqlclient have for what broker URLs
// call ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_cert_reqs.
func readTLS(what, host string, query url.Values) (*tls.Config, error) {
	common := url.Values{}
	for name, values := range query {
		value := values[0]
		switch name {
		case "ssl_ca":
			common.Set("ssl_ca_certs", value)
		case "ssl_cert":
			common.Set("ssl_certfile", value)
		case "ssl_key":
			common.Set("ssl_keyfile", value)
		case "ssl_check_hostname", "ssl_verify_identity":
			common.Set("ssl_check_hostname", value)
		case "ssl_verify_cert":
			if isFalse(value) {
				common.Set("ssl_cert_reqs", "none")
			}
		case "ssl_mode":
			switch strings.ToUpper(value) {
			case "REQUIRED", "PREFERRED":
				common.Set("ssl_cert_reqs", "none")
			case "VERIFY_CA":
				common.Set("ssl_check_hostname", "false")
			case "VERIFY_IDENTITY":
			default:
				return nil, fmt.Errorf("%s's parameter ssl_mode: %q is none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY", what, value)
			}
		case "ssl", "ssl_disabled":
		default:
			if strings.HasPrefix(name, "ssl") {
				return nil, fmt.Errorf("%s's parameter %s is not known for MySQL", what, name)
			}
		}
	}
	config, err := address.TLS(host, common)
	if err != nil { // its words are of the broker's parameters
		return nil, fmt.Errorf("%s's parameters of TLS: %w", what, errors.Unwrap(err))
	}
	return config, nil
}

func hostPort(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "3306"
	}
	return net.JoinHostPort(host, port)
}
