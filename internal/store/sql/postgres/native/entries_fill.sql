-- Adds entries to a scratch database, whose table is in its full shape.
-- In, for each entry: name, task, spec, args, kwargs, options. Out: nothing.
INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options)
SELECT e.name, e.task, e.spec, e.args::json, e.kwargs::json, e.options::json
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS e (name, task, spec, args, kwargs, options)
