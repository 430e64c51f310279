-- Notes each delete of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_delete AFTER DELETE ON celery_periodictask FOR EACH ROW
INSERT INTO onebeat_changes (entry_id) VALUES (old.id)
