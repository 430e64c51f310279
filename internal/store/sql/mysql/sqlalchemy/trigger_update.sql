-- Notes each update of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_update AFTER UPDATE ON celery_periodictask FOR EACH ROW
INSERT INTO onebeat_changes (entry_id)
SELECT changed.id FROM (SELECT old.id AS id UNION SELECT new.id) AS changed
WHERE NOT (({{old_watched}}) <=> ({{new_watched}}))
