-- Entries whose schedules say that they are due every few minutes: those that are told of first. What it
-- misses comes with the others.
-- In: how many at most. Out: id.
SELECT s.id::text FROM celery_beat_schedules AS s
WHERE s.cron_expression LIKE '*%'
	OR s.cron_expression LIKE '@%' -- most are not: one comparison instead of four
		AND (s.cron_expression LIKE '@every _s%' OR s.cron_expression LIKE '@every __s%' OR s.cron_expression LIKE '@every _m%' OR s.cron_expression LIKE '@every __m%')
LIMIT $1
