-- Notes each update of celery_solarschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_solar AFTER UPDATE ON celery_solarschedule
BEGIN
	INSERT INTO onebeat_changes (entry_id) SELECT CAST(s.id AS TEXT) FROM celery_periodictask AS s WHERE s.schedule_id = new.id AND s.discriminator = 'solarschedule';
END
