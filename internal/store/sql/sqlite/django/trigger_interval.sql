-- Notes each update of django_celery_beat_intervalschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_interval AFTER UPDATE ON django_celery_beat_intervalschedule
BEGIN
	INSERT INTO onebeat_changes (entry_id) SELECT CAST(s.id AS TEXT) FROM django_celery_beat_periodictask AS s WHERE s.interval_id = new.id;
END
