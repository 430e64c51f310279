-- Adds a column to the user's table: options of apply_async, such as {"queue": "priority"}.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN options longtext NOT NULL DEFAULT ('{}')
