-- Notes each update of django_celery_beat_solarschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_solar AFTER UPDATE ON django_celery_beat_solarschedule FOR EACH ROW
INSERT INTO onebeat_changes (entry_id)
SELECT s.id FROM django_celery_beat_periodictask AS s WHERE s.solar_id = new.id
