-- Notes each truncate of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_truncate AFTER TRUNCATE ON {{schema}}celery_periodictask
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_sqlalchemy_changes()
