-- Notes each update of celery_clockedschedule as one of the rows that refer to it.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_clocked AFTER UPDATE ON {{schema}}celery_clockedschedule
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_sqlalchemy_changes('clockedschedule')
