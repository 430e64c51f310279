-- The user's table in its full shape, for those who have none. Texts of JSON stay as they
-- were written: type json, not jsonb. Half of each page is kept free: a herd writes the run state of all the
-- rows of a page in one transaction, and what has room beside its former self needs no new place in an index.
-- In: nothing. Out: nothing.
CREATE TABLE celery_beat_schedules (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	name varchar(255) NOT NULL,
	task_name varchar(255) NOT NULL,
	cron_expression varchar(255) NOT NULL,
	enabled boolean NOT NULL DEFAULT true,
	args json NOT NULL DEFAULT '[]',
	kwargs json NOT NULL DEFAULT '{}',
	description text,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	last_run_at timestamptz,
	total_run_count bigint NOT NULL DEFAULT 0,
	options json NOT NULL DEFAULT '{}',
	rules json NOT NULL DEFAULT '{}',
	timezone varchar(64) NOT NULL DEFAULT '',
	misfire_policy varchar(20) NOT NULL DEFAULT 'once',
	misfire_grace_seconds double precision,
	misfire_max_count integer,
	misfire_max_age_seconds double precision
) WITH (fillfactor = 50)
