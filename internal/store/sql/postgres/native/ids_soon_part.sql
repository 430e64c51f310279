-- The entries of ids_soon in a part of the table.
-- In: how many at most; where the part begins, and where the next does, as a ctid. Out: id.
SELECT s.id::text FROM celery_beat_schedules AS s
WHERE s.ctid >= $2::text::tid AND s.ctid < $3::text::tid AND (
	s.cron_expression LIKE '*%'
	OR s.cron_expression LIKE '@%' -- most are not: one comparison instead of four
		AND (s.cron_expression LIKE '@every _s%' OR s.cron_expression LIKE '@every __s%' OR s.cron_expression LIKE '@every _m%' OR s.cron_expression LIKE '@every __m%'))
LIMIT $1
