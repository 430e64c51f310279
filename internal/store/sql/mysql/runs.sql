-- Runs, the latest slot first.
-- In: entry id or empty, the earliest slot or null, state or empty, limit.
-- Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE (?1 = '' OR entry_id = ?1) AND (?2 IS NULL OR slot >= ?2) AND (?3 = '' OR state = ?3)
ORDER BY slot DESC, entry_id
LIMIT ?4
