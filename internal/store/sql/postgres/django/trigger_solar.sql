-- Notes each update of django_celery_beat_solarschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_solar AFTER UPDATE ON django_celery_beat_solarschedule
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_django_changes('solar_id')
