-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: ids of entries that are in no row and stay. Out: nothing.
DELETE FROM onebeat_entries AS e
WHERE paused_at IS NULL AND NOT EXISTS (SELECT FROM django_celery_beat_periodictask AS s WHERE s.id::text = e.entry_id) AND e.entry_id <> ALL ($1::text[])
