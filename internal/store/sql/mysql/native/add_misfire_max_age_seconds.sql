-- Adds a column to the user's table: once, all: none older than this.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN misfire_max_age_seconds double
