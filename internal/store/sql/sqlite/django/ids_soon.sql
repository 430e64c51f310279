-- Entries whose schedules say that they are due every few minutes: those that are told of first. What it
-- misses comes with the others.
-- In: how many at most. Out: id.
SELECT CAST(s.id AS TEXT) FROM django_celery_beat_periodictask AS s
LEFT JOIN django_celery_beat_intervalschedule AS i ON i.id = s.interval_id
LEFT JOIN django_celery_beat_crontabschedule AS c ON c.id = s.crontab_id
WHERE i.period IN ('seconds', 'minutes') OR c.minute LIKE '*%'
LIMIT ?1
