-- Entries whose schedules say that they are due every few minutes: those that are told of first. What it
-- misses comes with the others.
-- In: how many at most. Out: id.
SELECT CAST(s.id AS TEXT) FROM celery_beat_schedules AS s
WHERE s.cron_expression LIKE '*%' OR s.cron_expression GLOB '@every [0-9]*[sm]' OR s.cron_expression GLOB '@every [0-9]*[sm] from *'
LIMIT ?1
