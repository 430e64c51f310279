-- The user's table in its full shape, for those who have none. Texts of JSON stay as they
-- were written: longtext, not json. Instants are in UTC.
-- In: nothing. Out: nothing.
CREATE TABLE celery_beat_schedules (
	id char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT (uuid()) PRIMARY KEY,
	name varchar(255) NOT NULL,
	task_name varchar(255) NOT NULL,
	cron_expression varchar(255) NOT NULL,
	enabled boolean NOT NULL DEFAULT true,
	args longtext NOT NULL DEFAULT ('[]'),
	kwargs longtext NOT NULL DEFAULT ('{}'),
	description text,
	created_at datetime(6) NOT NULL DEFAULT (utc_timestamp(6)),
	updated_at datetime(6) NOT NULL DEFAULT (utc_timestamp(6)),
	last_run_at datetime(6),
	total_run_count bigint NOT NULL DEFAULT 0,
	options longtext NOT NULL DEFAULT ('{}'),
	rules longtext NOT NULL DEFAULT ('{}'),
	timezone varchar(64) NOT NULL DEFAULT '',
	misfire_policy varchar(20) NOT NULL DEFAULT 'once',
	misfire_grace_seconds double,
	misfire_max_count integer,
	misfire_max_age_seconds double
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
