-- Adds a column to the user's table: skip: a slot this late or less is sent all the same.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN misfire_grace_seconds double
