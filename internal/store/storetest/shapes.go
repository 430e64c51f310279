package storetest

import "testing"

const shapeFull = "full"

func createTable(t testing.TB, db Database, shape string) {
	if db.Postgres {
		db.Exec(t, `CREATE TABLE celery_beat_schedules (id uuid primary key, name varchar(255) not null, task_name varchar(255) not null, cron_expression varchar(100) not null, enabled boolean not null, args jsonb not null, kwargs jsonb not null, description text, created_at timestamptz not null default now(), updated_at timestamptz not null default now(), last_run_at timestamptz, total_run_count int)`)
		return
	}
	db.Exec(t, `CREATE TABLE celery_beat_schedules (id text primary key, name varchar(255) not null, task_name varchar(255) not null, cron_expression varchar(100) not null, enabled boolean not null, args text not null, kwargs text not null, description text, created_at timestamp, updated_at timestamp, last_run_at timestamp, total_run_count int)`)
}
