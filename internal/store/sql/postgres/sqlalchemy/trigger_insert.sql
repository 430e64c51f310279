-- Notes each insert of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_insert AFTER INSERT ON {{schema}}celery_periodictask
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION onebeat_note_sqlalchemy_changes()
