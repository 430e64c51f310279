-- Ends an entry's pause; its slots count from now.
-- In: id. Out: one row changed, or none when it was not paused.
UPDATE onebeat_entries
SET after_at = max(after_at, CAST(unixepoch('subsec') * 1000000 AS INTEGER)), paused_at = NULL, paused_until = NULL, pause_reason = '', paused_by = ''
WHERE entry_id = ?1 AND paused_at IS NOT NULL
