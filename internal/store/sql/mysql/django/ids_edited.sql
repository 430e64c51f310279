-- The entries whose rows say that they were changed after either of two marks, or little before it, the last first.
-- In: the marks, as mark has them; how many at most. Out: id.
SELECT CAST(id AS char) FROM django_celery_beat_periodictask
WHERE date_changed > timestampadd(SECOND, -2, least(timestamp(?1), timestamp(?2)))
ORDER BY date_changed DESC
LIMIT ?3
