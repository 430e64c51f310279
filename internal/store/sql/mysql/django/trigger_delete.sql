-- Notes each delete of the user's table.
-- In: nothing. Out: nothing.
CREATE TRIGGER onebeat_django_delete AFTER DELETE ON django_celery_beat_periodictask FOR EACH ROW
INSERT INTO onebeat_changes (entry_id) VALUES (old.id)
