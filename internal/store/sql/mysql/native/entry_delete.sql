-- Removes an entry.
-- In: id. Out: one row changed, or none.
DELETE FROM celery_beat_schedules WHERE id = ?1
