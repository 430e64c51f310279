-- Notes each update of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_sqlalchemy_update AFTER UPDATE OF {{watched}} ON celery_periodictask
WHEN ({{old_watched}}) IS NOT ({{new_watched}})
BEGIN
	INSERT INTO onebeat_changes (entry_id) SELECT DISTINCT id FROM (SELECT CAST(old.id AS TEXT) AS id UNION SELECT CAST(new.id AS TEXT));
END
