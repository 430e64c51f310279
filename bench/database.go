package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite
)

// A database is a fresh one of a measurement's own.
type database struct {
	kind string // postgres or sqlite
	url  string // as onebeat takes it
	db   *sql.DB
	drop func()
}

// newDatabase makes one: on the PostgreSQL server at the URL, or in the folder.
func newDatabase(ctx context.Context, kind, server, dir string) (*database, error) {
	if kind == "sqlite" {
		file := filepath.Join(dir, "schedules.db")
		db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
		return &database{kind: kind, url: "sqlite:///" + file, db: db, drop: func() {}}, err
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	name := newName()
	if _, err := admin.ExecContext(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	drop := func() {
		_, _ = admin.ExecContext(context.WithoutCancel(ctx), `DROP DATABASE "`+name+`" WITH (FORCE)`) // it is in nobody's way
		_ = admin.Close()
	}
	at.Path = "/" + name
	db, err := sql.Open("pgx", at.String())
	return &database{kind: kind, url: at.String(), db: db, drop: drop}, err
}

func (d *database) close() {
	_ = d.db.Close()
	d.drop()
}

// The names of tasks.
const (
	herdTask   = "bench.tasks.report"
	probeTask  = "bench.tasks.probe"
	minuteTask = "bench.tasks.minute"
)

// fill inserts entries, each with arguments and options of its own, that are due
// once an hour and next at slot.
func (d *database) fill(ctx context.Context, entries int, slot time.Time, queue string) error {
	text := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options)
		SELECT 'report of customer ' || i, '%s', '@every 1h from %s', '["daily", ' || i || ']',
			'{"schedule_id": ' || i || ', "from_date": "20250729", "to_date": "20250730"}',
			'{"queue": "%s", "expires": 1800, "soft_time_limit": 300}' FROM n`,
		entries, herdTask, slot.UTC().Format(time.RFC3339Nano), queue)
	if d.kind == "postgres" { // where a recursion is slow
		text = fmt.Sprintf(`INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options)
			SELECT 'report of customer ' || i, '%s', '@every 1h from %s', json_build_array('daily', i),
				json_build_object('schedule_id', i, 'from_date', '20250729', 'to_date', '20250730'),
				'{"queue": "%s", "expires": 1800, "soft_time_limit": 300}' FROM generate_series(1, %d) AS i`,
			herdTask, slot.UTC().Format(time.RFC3339Nano), queue, entries)
	}
	if _, err := d.db.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("insert entries: %w", err)
	}
	_, err := d.db.ExecContext(ctx, "ANALYZE")
	return err
}

// probes are so many entries of every second, at even distances.
const probes = 10

// probe inserts entries of which one is due each tenth of a second, from now on.
func (d *database) probe(ctx context.Context, queue string) error {
	for i := range probes {
		anchor := time.Unix(0, 0).Add(time.Duration(i) * time.Second / probes)
		text := fmt.Sprintf(`INSERT INTO celery_beat_schedules (name, task_name, cron_expression, options)
			VALUES ('probe %d', '%s', '@every 1s from %s', '{"queue": "%s"}')`,
			i, probeTask, anchor.UTC().Format(time.RFC3339Nano), queue)
		if _, err := d.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("insert probes: %w", err)
		}
	}
	return nil
}

// minutes inserts entries that are due on the minute.
func (d *database) minutes(ctx context.Context, queue string) error {
	for i := range idlers {
		text := fmt.Sprintf(`INSERT INTO celery_beat_schedules (name, task_name, cron_expression, options)
			VALUES ('minute %d', '%s', '* * * * *', '{"queue": "%s"}')`, i, minuteTask, queue)
		if _, err := d.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("insert entries: %w", err)
		}
	}
	return nil
}

// unprobe takes the probes away.
func (d *database) unprobe(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, fmt.Sprintf("DELETE FROM celery_beat_schedules WHERE task_name = '%s'", probeTask))
	return err
}

// recorded returns nil when no batch is left in the journal.
func (d *database) recorded(ctx context.Context) error {
	var open int
	err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM onebeat_journal").Scan(&open)
	if err == nil && open > 0 {
		err = fmt.Errorf("%d batches are not recorded", open)
	}
	return err
}

// installation is the name that onebeat's fence at the broker has.
func (d *database) installation(ctx context.Context) (name string) {
	_ = d.db.QueryRowContext(ctx, "SELECT value FROM onebeat_meta WHERE key = 'installation'").Scan(&name) // empty where nothing ran
	return name
}

// micros is an instant's column in microseconds since the Unix epoch.
func (d *database) micros(column string) string {
	if d.kind == "sqlite" {
		return column
	}
	return "(extract(epoch FROM " + column + ") * 1000000)::bigint"
}

// lateness returns, from the ledger, how late each sent slot of a task was
// acknowledged, in order.
func (d *database) lateness(ctx context.Context, task string) ([]time.Duration, error) {
	rows, err := d.db.QueryContext(ctx, fmt.Sprintf("SELECT %s - %s FROM onebeat_runs WHERE task = '%s' AND state = 'sent' ORDER BY 1",
		d.micros("sent_at"), d.micros("slot"), task))
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer rows.Close()
	var late []time.Duration
	for rows.Next() {
		var micros int64
		if err := rows.Scan(&micros); err != nil {
			return nil, err
		}
		late = append(late, time.Duration(micros)*time.Microsecond)
	}
	return late, rows.Err()
}
