-- Entries whose schedules say that they are due every few minutes: those that are told of first. What it
-- misses comes with the others.
-- In: how many at most. Out: id.
SELECT s.id::text FROM {{schema}}celery_periodictask AS s
LEFT JOIN {{schema}}celery_intervalschedule AS i ON i.id = s.schedule_id AND s.discriminator = 'intervalschedule'
LEFT JOIN {{schema}}celery_crontabschedule AS c ON c.id = s.schedule_id AND s.discriminator = 'crontabschedule'
WHERE i.period IN ('seconds', 'minutes') OR c.minute LIKE '*%'
LIMIT $1
