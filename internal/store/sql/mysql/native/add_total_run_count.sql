-- Adds a column to the user's table: how many were sent.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN total_run_count bigint NOT NULL DEFAULT 0
