package store

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// Whatever PostgreSQL answers, the row by hand is the row that pgx makes.
func TestABinaryRowIsTheRowThatPgxMakes(t *testing.T) {
	url := os.Getenv("ONEBEAT_TEST_POSTGRES")
	if url == "" {
		t.Fatal("ONEBEAT_TEST_POSTGRES is not set: run it by `make stack`")
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		for _, tt := range []struct{ name, values string }{
			{"all of it", `'id', 'name', 'spec', true, timestamptz '2026-11-25 12:00:00.123456+02', timestamptz '1900-01-01', 1.5::float8, 7::bigint, 'ü', 1`},
			{"nulls", `NULL, NULL, NULL, false, NULL, NULL, 0::float8, -7::bigint, '', NULL`},
			{"instants before and after all", `'id', '', '', true, timestamptz '2026-11-25', timestamptz 'infinity', 0::float8, 0::bigint, 'x', 'y'`},
			{"the first and the last instant", `'id', '', '', true, timestamptz '0001-01-01 00:00:00+00', timestamptz '294276-12-31 23:59:59.999999+00', 0::float8, 0::bigint, 'x', 'y'`},
			{"other types", `'id'::varchar, 'name'::char(6), '{"a": 1}'::json, 1::bigint, timestamp '2026-11-25', date '2026-11-25', 2::float8, 3::bigint, 'x'::varchar, '{1}'::int[]`},
		} {
			want, wantErr := scanned(t, conn, tt.values, func(rows pgx.Rows) scanner { return rows })
			var answer binaryRow
			got, gotErr := scanned(t, conn, tt.values, func(rows pgx.Rows) scanner {
				answer.rows = rows
				return &answer
			})
			if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !cmp.Equal(got, want) {
				t.Errorf("%s, %v: %+v, %v\nwant %+v, %v", tt.name, mode, got, gotErr, want, wantErr)
			}
		}
	}
}

// A scannedRow has a column of each kind that a row is scanned to.
type scannedRow struct {
	ID, Name, Spec string
	Enabled        bool
	At, Lenient    time.Time
	Number         float64
	Count          int64
	Text           string
}

func scanned(t *testing.T, conn *pgx.Conn, values string, from func(pgx.Rows) scanner) (got scannedRow, err error) {
	rows, err := conn.Query(t.Context(), "SELECT "+values)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	var at lenient
	var its row
	err = from(rows).Scan(identity{&its}, orEmpty{&got.Name}, kept{orEmpty{&got.Spec}}, truth{&got.Enabled}, instant{&got.At}, &at,
		&got.Number, &got.Count, &got.Text, ignored{})
	got.ID, got.Lenient = its.id, at.at
	return got, err
}
