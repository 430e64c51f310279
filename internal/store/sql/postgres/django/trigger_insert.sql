-- Notes each insert of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_insert AFTER INSERT ON django_celery_beat_periodictask
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes()
