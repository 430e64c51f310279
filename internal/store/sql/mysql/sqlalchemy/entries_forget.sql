-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: nothing. Out: nothing.
DELETE e
FROM onebeat_entries AS e LEFT JOIN celery_periodictask AS s ON CAST(s.id AS char) = e.entry_id
WHERE e.paused_at IS NULL AND s.id IS NULL
