-- Notes each insert of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_insert AFTER INSERT ON celery_beat_schedules
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_changes()
