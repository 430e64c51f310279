-- Adds an entry.
-- In: the columns that the table has of those that insert writes, in order. Out: nothing.
INSERT INTO celery_beat_schedules ({{inserted}}) VALUES ({{inserted_values}})
