-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: nothing. Out: nothing.
DELETE FROM onebeat_entries AS e
WHERE paused_at IS NULL AND NOT EXISTS (SELECT FROM {{schema}}celery_periodictask AS s WHERE s.id::text = e.entry_id)
