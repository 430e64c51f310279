-- Notes each truncate of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_truncate AFTER TRUNCATE ON celery_beat_schedules
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_changes()
