-- Pauses an entry.
-- In: id, until (null: until resumed), reason, by. Out: nothing.
INSERT INTO onebeat_entries AS e (entry_id, spec, after_at, paused_at, paused_until, pause_reason, paused_by)
VALUES ($1, '', clock_timestamp(), clock_timestamp(), $2, $3, $4)
ON CONFLICT (entry_id) DO UPDATE SET paused_at = excluded.paused_at, paused_until = excluded.paused_until,
	pause_reason = excluded.pause_reason, paused_by = excluded.paused_by
