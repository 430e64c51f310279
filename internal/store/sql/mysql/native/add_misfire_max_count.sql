-- Adds a column to the user's table: all: at most so many of the latest.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN misfire_max_count integer
