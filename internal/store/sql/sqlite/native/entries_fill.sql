-- Adds entries to a scratch database, whose table is in its full shape.
-- In, for each entry: name, task, spec, args, kwargs, options. Out: nothing.
INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
