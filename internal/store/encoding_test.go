package store

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/schedule"
)

// encoded makes a database of an encoding, and returns a store of it.
func encoded(t *testing.T, name, encoding string) *Store {
	t.Helper()
	at, err := url.Parse(os.Getenv("ONEBEAT_TEST_POSTGRES"))
	if err != nil || at.Host == "" {
		t.Fatal("ONEBEAT_TEST_POSTGRES is not set: run the tests with `make test`, or `make stack` first")
	}
	admin, err := pgx.Connect(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	exec := func(text string) {
		if _, err := admin.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
	exec("CREATE DATABASE " + name + " ENCODING '" + encoding + "' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() {
		_, _ = admin.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		_ = admin.Close(context.Background())
	})
	at.Path = "/" + name
	return storeOf(t, at.String(), Options{})
}

// In a database of another encoding texts are read and written as they are, and a run whose queue has a character that
// the encoding lacks is recorded with a question mark instead, and others of its batch with it.
func TestDatabasesOfOtherEncodings(t *testing.T) {
	for encoding, tt := range map[string]struct{ name, lacks string }{
		"EUC_JP":    {"日報を送る", "ไทย"},
		"LATIN1":    {"café", "キュー"},
		"SQL_ASCII": {"日報を送る", ""},
		"UTF8":      {"日報を送る", ""},
	} {
		t.Run(encoding, func(t *testing.T) {
			s := encoded(t, "onebeat_encoding_"+strings.ToLower(encoding), encoding)
			id, err := s.Add(t.Context(), Definition{Name: tt.name, Task: "tasks.add", Spec: "0 9 * * *", Kwargs: `{"text": "` + tt.name + `"}`, Enabled: true})
			if err != nil {
				t.Fatal(err)
			}
			row, err := s.Find(t.Context(), string(id))
			if err != nil || row.Name != tt.name || !strings.Contains(row.Kwargs, tt.name) {
				t.Errorf("the entry is %q with %s, %v, want %q", row.Name, row.Kwargs, err, tt.name)
			}
			shard, slot := s.Shard(0), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			lease, won, err := shard.Acquire(t.Context(), "node")
			if err != nil || !won {
				t.Fatalf("Acquire: %v, %v", won, err)
			}
			for seq, queue := range []string{tt.name, "q" + tt.lacks} {
				seq := int64(seq + 1)
				at := slot.Add(time.Duration(seq) * time.Hour)
				if err := shard.Claim(t.Context(), schedule.Batch{Term: lease.Term, Seq: seq, Dues: []schedule.Due{{Entry: &schedule.Entry{ID: id}, Slot: at}}}); err != nil {
					t.Fatal(err)
				}
				run := schedule.Run{Entry: id, Name: tt.name, Task: "t", Queue: queue, Slot: at, Count: 1, State: schedule.Sent, Node: "node", Term: lease.Term, SentAt: at}
				if err := shard.Record(t.Context(), lease.Term, []int64{seq}, []schedule.Run{run}); err != nil {
					t.Fatalf("Record with the queue %q: %v", queue, err)
				}
			}
			want := map[string]string{tt.name: tt.name, "q" + ascii(tt.lacks): tt.name}
			if tt.lacks != "" {
				want["q"+ascii(tt.lacks)] = ascii(tt.name)
			}
			runs, err := s.db.(*postgres).pool.Query(t.Context(), "SELECT queue, name FROM onebeat_runs")
			if err != nil {
				t.Fatal(err)
			}
			var queue, name string
			seen := 0
			_, err = pgx.ForEachRow(runs, []any{&queue, &name}, func() error {
				seen++
				if want[queue] != name {
					t.Errorf("a run has the queue %q and the name %q, want one of %q", queue, name, want)
				}
				return nil
			})
			if err != nil || seen != 2 {
				t.Errorf("the ledger has %d runs, %v, want 2", seen, err)
			}
		})
	}
}
