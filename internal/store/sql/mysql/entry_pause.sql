-- Pauses an entry.
-- In: id, until (null: until resumed), reason, by. Out: nothing.
INSERT INTO onebeat_entries (entry_id, spec, after_at, paused_at, paused_until, pause_reason, paused_by)
VALUES (?1, '', CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), ?2, ?3, ?4)
ON DUPLICATE KEY UPDATE paused_at = VALUES(paused_at), paused_until = VALUES(paused_until),
	pause_reason = VALUES(pause_reason), paused_by = VALUES(paused_by)
