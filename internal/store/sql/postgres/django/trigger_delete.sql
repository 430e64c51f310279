-- Notes each delete of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_delete AFTER DELETE ON django_celery_beat_periodictask
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes()
