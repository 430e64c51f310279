package sqlalchemy_test

import (
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
)

func TestOpenReadsURLs(t *testing.T) {
	for url, want := range map[string]string{ // "" is no error
		"sqla+postgresql://me:secret@h/db":                              "",
		"sqlalchemy+postgresql+psycopg2://me:secret@h:5433/db":          "",
		"sqla+mysql+pymysql://me:secret@h/db?charset=utf8mb4":           "",
		"sqla+mariadb+mysqldb://me:secret@/db?unix_socket=/run/my.sock": "",
		"sqla+mysql://me:secret@h/db?ssl_mode=VERIFY_CA":                "",
		"sqla+sqlite:///queue.db":                                       "",
		"sqla+oracle://me:secret@h/db":                                  `names the database "oracle"`,
		"sqla+://me:secret@h/db":                                        `names the database ""`,
		"sqla+sqlite://":                                                "names no file",
		"sqla+postgresql://me:secret@h":                                 "names no database",
		"sqla+postgresql://me:se%cret@h/db":                             "can't be read",
		"sqla+postgresql://me:12/secret@h/db":                           "can't be read",
		"sqla+sqlite:////srv/me@corp/queue.db":                          "",
		"sqla+postgresql://me:secret@h/db?sslmode=never":                "parameter",
		"sqla+mysql://me:secret@h/db?ssl_mode=SOME":                     "VERIFY_CA",
		"sqla+mysql://me:secret@h/db?odd=1":                             "parameter odd",
		"sqla+mysql://me:secret@h/db?ssl_odd=1":                         "parameter ssl_odd",
		"sqla+mysql://me:secret@h/db?ssl_ca=/no/such/file.pem":          "no such file",
	} {
		b, err := broker.Open(url, broker.Options{})
		if err == nil {
			if strings.Contains(b.String(), "secret") {
				t.Errorf("String of %s = %s", url, b)
			}
			b.Close()
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("Open(%s): %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("Open(%s): %v, want %q and no password", url, err, want)
		}
	}
}
