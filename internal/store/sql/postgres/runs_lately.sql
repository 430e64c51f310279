-- Runs in parts of the ledger from one on, and in those that have not ended, the latest slot first.
-- In: the first part, state or empty, limit. Out: the columns of onebeat_runs.
SELECT run.*
FROM onebeat_parts AS part
CROSS JOIN LATERAL (
	SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
	FROM onebeat_runs
	WHERE onebeat_runs.part = part.part AND day BETWEEN part.first_day AND part.last_day AND ($2::text = '' OR state = $2)
	ORDER BY slot DESC
	LIMIT $3
) AS run
WHERE part.part > 0 AND (part.part >= $1 OR part.last_slot = 'infinity')
ORDER BY slot DESC, entry_id
LIMIT $3
