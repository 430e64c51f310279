-- Notes each update of celery_intervalschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_interval AFTER UPDATE ON celery_intervalschedule FOR EACH ROW
INSERT INTO onebeat_changes (entry_id)
SELECT s.id FROM celery_periodictask AS s WHERE s.schedule_id = new.id AND s.discriminator = 'intervalschedule'
