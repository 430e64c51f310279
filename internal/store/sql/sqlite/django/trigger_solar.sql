-- Notes each update of django_celery_beat_solarschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_solar AFTER UPDATE ON django_celery_beat_solarschedule
BEGIN
	INSERT INTO onebeat_changes (entry_id) SELECT CAST(s.id AS TEXT) FROM django_celery_beat_periodictask AS s WHERE s.solar_id = new.id;
END
