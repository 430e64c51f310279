-- Notes each insert of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_insert AFTER INSERT ON celery_periodictask FOR EACH ROW
INSERT INTO onebeat_changes (entry_id) VALUES (new.id)
