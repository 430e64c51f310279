-- Ends an entry's pause; its slots count from now.
-- In: id. Out: one row changed, or none when it was not paused.
UPDATE onebeat_entries
SET after_at = greatest(after_at, clock_timestamp()), paused_at = NULL, paused_until = NULL, pause_reason = '', paused_by = ''
WHERE entry_id = $1 AND paused_at IS NOT NULL
