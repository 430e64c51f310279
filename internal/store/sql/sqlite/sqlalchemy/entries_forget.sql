-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: nothing. Out: nothing.
DELETE FROM onebeat_entries
WHERE paused_at IS NULL AND entry_id NOT IN (SELECT CAST(id AS TEXT) FROM celery_periodictask)
