-- The table that schedules are rows of, as many have it already, and two rows.
-- The times are those of CELERY_TIMEZONE. After this, INSERT, UPDATE and DELETE
-- are all it takes: onebeat sees them while it runs.
CREATE TABLE celery_beat_schedules (
    id              uuid PRIMARY KEY,
    name            varchar(255) NOT NULL,
    task_name       varchar(255) NOT NULL,
    cron_expression varchar(100) NOT NULL, -- minute, hour, day of month, month, day of week
    enabled         boolean NOT NULL,
    args            jsonb NOT NULL,        -- an array
    kwargs          jsonb NOT NULL,        -- an object
    description     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    last_run_at     timestamptz
);
CREATE UNIQUE INDEX ix_celery_beat_schedules_name ON celery_beat_schedules (name);
CREATE INDEX ix_celery_beat_schedules_enabled ON celery_beat_schedules (enabled);

INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs, description) VALUES
    (gen_random_uuid(), 'test_every_minute', 'fetch_listed_info_task', '* * * * *', true,
     '[]', '{"schedule_id": 1, "from_date": "20250729", "to_date": "20250730"}', 'runs every minute'),
    (gen_random_uuid(), '朝の挨拶', 'example.greet', '0 9 * * 1-5', true,
     '["皆"]', '{}', '平日の午前9時');
