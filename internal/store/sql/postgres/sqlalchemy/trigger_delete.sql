-- Notes each delete of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_delete AFTER DELETE ON {{schema}}celery_periodictask
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_sqlalchemy_changes()
