-- The ids that several rows have.
-- In: nothing. Out: the id, and how many rows have it beside one.
SELECT s.id, count(s.id) - 1 FROM celery_beat_schedules AS s GROUP BY s.id HAVING count(s.id) > 1
