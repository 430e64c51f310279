// Package login tells from the error of a connection whether a database's server lets the user in.
package login

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the servers say to who is not let in (PostgreSQL's Appendix A, MariaDB's Error Codes).
var (
	postgres = []string{"28P01", "28000", "3D000", "42501"} // password, user or address, database, and the right to connect to it
	mariadb  = []uint16{1044, 1045, 1049, 1698}             // rights in the database, user or password, database, a user of the machine alone

	postgresFull = []string{"53300"}
	mariadbFull  = []uint16{1040, 1203, 1226} // of the server, of the user, of what the user was granted
)

// Refused says whether a server of PostgreSQL, MySQL or MariaDB answered and let nobody in: for the
// user, the password, or the name of the database. One that is away refused nobody.
func Refused(err error) bool {
	return answered(err, postgres, mariadb)
}

// answered says whether a server answered with one of these.
func answered(err error, codes []string, numbers []uint16) bool {
	if told := new(pgconn.PgError); errors.As(err, &told) && slices.Contains(codes, told.Code) {
		return true
	}
	told := new(mysql.MySQLError)
	return errors.As(err, &told) && slices.Contains(numbers, told.Number)
}

// Hint is what to look at where no connection came to be: most often whether the server runs, but where one
// answers, what it and the URL say of TLS.
func Hint(err error) string {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case answered(err, postgresFull, mariadbFull):
		return "the server answers, and has as many connections as it takes: close others, or let it take more (max_connections)"
	case errors.Is(err, mysql.ErrNoTLS):
		return "the server does no TLS: turn it on there, or ask for none by ssl_mode=DISABLED in the URL"
	case strings.HasSuffix(OneLine(err).Error(), withoutTLS):
		return "the server does no TLS: turn it on there, or ask for none by sslmode=disable in the URL"
	case errors.As(err, &authority):
		return "sslrootcert=FILE (MySQL: ssl_ca=FILE) in the URL names the authority's certificate"
	case errors.As(err, &name):
		return "the URL names the host otherwise than the server's certificate does"
	case errors.As(err, &invalid):
		return "the server needs another certificate"
	}
	return "does the server run, and is the URL right?"
}

// withoutTLS is what pgx says of its first try where a server has no TLS; what comes of the second counts.
const withoutTLS = "tls error: server refused TLS connection"

// OneLine is the error of a connection on one line, without what it wraps: pgx uses several, also for
// tries that failed alike.
func OneLine(err error) error {
	head, tries, several := strings.Cut(err.Error(), ":\n")
	if !several {
		head, tries = "", head
	} else {
		head += ": "
	}
	var lines []string
	for line := range strings.SplitSeq(tries, "\n") {
		line = strings.TrimSpace(line)
		said := func(before string) bool { return before == line || strings.HasSuffix(before, ": "+line) }
		if !slices.ContainsFunc(lines, said) {
			lines = append(lines, line)
		}
	}
	if told := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasSuffix(line, withoutTLS) }); len(told) > 0 {
		lines = told
	}
	return errors.New(head + strings.Join(lines, "; "))
}
