-- Notes each update of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_update AFTER UPDATE ON {{schema}}celery_periodictask
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('onebeat.recording', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION onebeat_note_sqlalchemy_changes()
