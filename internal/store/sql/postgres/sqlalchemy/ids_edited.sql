-- The entries whose rows say that they were changed after either of two marks, or little before it, the last first.
-- In: the marks, as mark has them; how many at most. Out: id.
SELECT id::text FROM {{schema}}celery_periodictask
WHERE date_changed > least($1::text::timestamptz, $2::text::timestamptz) - interval '2 seconds'
ORDER BY date_changed DESC
LIMIT $3
