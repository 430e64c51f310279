-- Notes each update of django_celery_beat_clockedschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_clocked AFTER UPDATE ON django_celery_beat_clockedschedule
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes('clocked_id')
