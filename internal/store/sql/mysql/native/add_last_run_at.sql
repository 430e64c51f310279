-- Adds a column to the user's table: the last slot sent.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN last_run_at datetime(6)
