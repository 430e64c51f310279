-- Runs in parts of the ledger from one on, the latest slot first.
-- In: the first part, state or empty, limit. Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE part >= ?1 AND part > 0 AND (?2 = '' OR state = ?2)
ORDER BY slot DESC, entry_id
LIMIT ?3
