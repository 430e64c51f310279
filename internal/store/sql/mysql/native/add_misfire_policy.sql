-- Adds a column to the user's table: once, skip or all.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN misfire_policy varchar(20) NOT NULL DEFAULT 'once'
