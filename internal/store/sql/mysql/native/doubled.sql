-- How many rows have no id, or one that another row has too.
-- In: nothing. Out: the count, of which one of each id is left out.
SELECT count(*) - count(DISTINCT s.id) FROM celery_beat_schedules AS s
