-- The user's table in its full shape, for those who have none. Texts of JSON stay as they
-- were written: type json, not jsonb.
-- In: nothing. Out: nothing.
CREATE TABLE celery_beat_schedules (
	id TEXT PRIMARY KEY DEFAULT (lower(
		hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
		substr('89ab', 1 + abs(random() % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
	name TEXT NOT NULL,
	task_name TEXT NOT NULL,
	cron_expression TEXT NOT NULL,
	enabled BOOLEAN NOT NULL DEFAULT 1,
	args TEXT NOT NULL DEFAULT '[]',
	kwargs TEXT NOT NULL DEFAULT '{}',
	description TEXT,
	created_at TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
	updated_at TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
	last_run_at TIMESTAMP,
	total_run_count INTEGER NOT NULL DEFAULT 0,
	options TEXT NOT NULL DEFAULT '{}',
	rules TEXT NOT NULL DEFAULT '{}',
	timezone TEXT NOT NULL DEFAULT '',
	misfire_policy TEXT NOT NULL DEFAULT 'once',
	misfire_grace_seconds REAL,
	misfire_max_count INTEGER,
	misfire_max_age_seconds REAL
)
