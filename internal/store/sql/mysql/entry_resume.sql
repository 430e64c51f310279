-- Ends an entry's pause now. When it began stays, for the slots in between.
-- In: id. Out: one row changed, or none when it was not paused.
UPDATE onebeat_entries
SET paused_until = CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED)
WHERE entry_id = ?1 AND paused_at IS NOT NULL AND coalesce(paused_until > CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), true)
