-- Notes each delete of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_delete AFTER DELETE ON celery_beat_schedules
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_changes()
