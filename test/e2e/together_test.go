package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// oneDatabase is a broker whose queues are tables of the schedules' own database.
const oneDatabase = "the schedules' database"

// jointly is what a node says that sends and records in one transaction.
const jointly = "messages and their records go in one transaction: the broker is in the schedules' database"

// inDatabase is the broker in the schedules' database. Nobody but the test reads it.
func inDatabase(d *database) *broker {
	url := "sqla+" + d.url
	switch d.kind {
	case postgres:
		url = "sqla+postgresql+psycopg2" + strings.TrimPrefix(d.url, "postgres")
	case mariadb:
		url = "sqla+mysql+pymysql" + strings.TrimPrefix(d.url, "mysql")
	}
	return &broker{kind: oneDatabase, url: url, database: d}
}

// rows reads the messages that lie in kombu's table.
func (b *broker) rows(t *testing.T) (all []message) {
	t.Helper()
	b.database.each(t, "SELECT payload FROM kombu_message ORDER BY id", func(scan func(...any)) {
		var payload string
		scan(&payload)
		var envelope struct{ Headers message }
		if err := json.Unmarshal([]byte(payload), &envelope); err != nil {
			t.Fatalf("read message: %v", err)
		}
		all = append(all, envelope.Headers)
	})
	return all
}

// jointPoints are the steps around and within the transaction.
var jointPoints = []string{
	"sqlalchemy.take.before", "sqlalchemy.take.after",
	"publish.before", "record.before", "sqlalchemy.publish.marked", "sqlalchemy.publish.recorded", "sqlalchemy.publish.written",
	"record.commit.before", "record.after", "publish.after",
}

// jointCrashes returns all combinations, or those that the tests take: on PostgreSQL each
// point killed, the answer lost, and a node that waits before the transaction and in it for
// longer than its lease lasts; in it on the others.
func jointCrashes(all bool) (cases []crash) {
	policies := []string{"once", "skip", "all"}
	for i, point := range jointPoints {
		for k, kind := range []string{postgres, mariadb, sqlite} {
			for _, mode := range []string{byKill, byError, byDelay} {
				within := strings.HasPrefix(point, "sqlalchemy.publish.") || point == "record.commit.before"
				switch {
				case all:
				case mode == byKill && (kind == postgres || within):
				case mode == byError && kind == postgres && (point == "record.after" || point == "sqlalchemy.publish.written"):
				case mode == byDelay && point == "publish.before" && kind != mariadb:
				case mode == byDelay && point == "sqlalchemy.publish.written":
				default:
					continue
				}
				cases = append(cases, crash{point, mode, kind, oneDatabase, policies[(i+k)%3]})
			}
		}
	}
	return cases
}

// Where the queues are in the schedules' database, a node that dies, fails or loses its lease
// at any step leaves messages with their records or neither, before anybody recovers from it;
// and afterwards no slot is lost or doubled.
func TestNothingIsHalfSentInOneDatabase(t *testing.T) {
	t.Parallel()
	for _, c := range jointCrashes(long) {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			testCrash(t, c)
		})
	}
}

// halfSent is what lies in the queues and is not recorded, or the other way about.
func (s *site) halfSent(t *testing.T) []string {
	t.Helper()
	return s.unrecorded(t, s.broker.arrivals(t))
}
