-- What onebeat remembers of entries.
-- In: ids. Out, for each that is remembered: id, spec digest, after, last slot, count, the pause's begin, end, reason and person.
SELECT entry_id, spec, after_at, last_slot, total_run_count, paused_at, paused_until, pause_reason, paused_by
FROM onebeat_entries
WHERE entry_id IN (SELECT value FROM json_each(?1))
