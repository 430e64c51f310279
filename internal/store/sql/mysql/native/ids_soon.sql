-- Entries whose schedules say that they are due every few minutes: those that are told of first. What it
-- misses comes with the others.
-- In: how many at most. Out: id.
SELECT CAST(s.id AS char) FROM celery_beat_schedules AS s
WHERE s.cron_expression LIKE '*%' OR s.cron_expression REGEXP '^@every [0-9]+[sm]( |$)'
LIMIT ?1
