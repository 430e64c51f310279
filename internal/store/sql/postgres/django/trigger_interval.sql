-- Notes each update of django_celery_beat_intervalschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_interval AFTER UPDATE ON django_celery_beat_intervalschedule
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes('interval_id')
