-- Takes the trigger away, to be made anew.
-- In: nothing. Out: nothing.
DROP TRIGGER IF EXISTS onebeat_django_truncate ON django_celery_beat_periodictask
