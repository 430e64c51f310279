-- Adds a column to the user's table: rules around cron_expression, such as {"weekend": "sat,sun"}.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN rules TEXT NOT NULL DEFAULT '{}'
