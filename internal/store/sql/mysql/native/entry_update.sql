-- Edits an entry.
-- In: the columns that the table has of those that an edit writes, in order; then the id.
-- Out: one row changed, or none.
UPDATE celery_beat_schedules SET {{updated_pairs}} WHERE id = {{updated_id}}
