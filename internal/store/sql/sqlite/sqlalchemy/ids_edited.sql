-- The entries whose rows say that they were changed after either of two marks, or little before it, the last first.
-- In: the marks, as mark has them; how many at most. Out: id.
SELECT CAST(id AS TEXT) FROM celery_periodictask
WHERE date_changed > datetime(min(?1, ?2), '-2 seconds')
ORDER BY date_changed DESC
LIMIT ?3
