-- Notes each truncate of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_truncate AFTER TRUNCATE ON django_celery_beat_periodictask
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes()
