-- Adds a column to the user's table: the IANA zone of cron_expression; empty for the setting's.
-- In: nothing. Out: nothing.
ALTER TABLE celery_beat_schedules ADD COLUMN timezone varchar(64) NOT NULL DEFAULT ''
