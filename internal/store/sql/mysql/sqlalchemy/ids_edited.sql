-- The entries whose rows say that they were changed after either of two marks, or little before it.
-- In: the marks, as mark has them; how many at most. Out: id.
SELECT CAST(id AS char) FROM celery_periodictask
WHERE date_changed > timestampadd(SECOND, -2, least(timestamp(?1), timestamp(?2)))
LIMIT ?3
