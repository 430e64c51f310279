-- Takes the trigger away, to be made anew.
-- In: nothing. Out: nothing.
DROP TRIGGER IF EXISTS onebeat_django_solar ON django_celery_beat_solarschedule
