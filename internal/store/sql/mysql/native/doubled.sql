-- How many rows have an id that another row has too.
-- In: nothing. Out: the count, of which one of each id is left out.
SELECT count(s.id) - count(DISTINCT s.id) FROM celery_beat_schedules AS s
