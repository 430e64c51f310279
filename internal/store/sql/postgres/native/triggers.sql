-- How many of the triggers that write onebeat_changes are in place and enabled.
-- In: nothing. Out: the count.
SELECT count(*) FROM pg_trigger
WHERE tgrelid = to_regclass('celery_beat_schedules') AND tgname LIKE 'onebeat\_%' AND tgenabled IN ('O', 'A')
