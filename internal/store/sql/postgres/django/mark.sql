-- The mark that Django's models move with each edit.
-- In: nothing. Out: an instant as text; no row before the first edit.
SELECT last_update::text FROM django_celery_beat_periodictasks WHERE ident = 1
