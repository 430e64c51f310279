-- Notes each update of celery_crontabschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_crontab AFTER UPDATE ON {{schema}}celery_crontabschedule
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_sqlalchemy_changes('crontabschedule')
