-- Keeps an entry's row as it is until the transaction ends.
-- In: id. Out: its description; no row when there is no such entry.
SELECT coalesce({{description}}, '') FROM celery_beat_schedules AS s WHERE s.id = ?1 FOR UPDATE
