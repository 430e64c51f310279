-- Adds entries to a scratch database, whose table is in its full shape.
-- In, for each entry: name, task, spec, args, kwargs, options. Out: nothing.
INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options)
SELECT e.name, e.task, e.spec, e.args, e.kwargs, e.options
FROM JSON_TABLE(?1, '$[*]' COLUMNS (name varchar(255) PATH '$[0]', task varchar(255) PATH '$[1]', spec varchar(255) PATH '$[2]', args longtext PATH '$[3]', kwargs longtext PATH '$[4]', options longtext PATH '$[5]')) AS e
