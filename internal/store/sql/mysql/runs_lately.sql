-- Runs in parts of the ledger from one on, and in those that have not ended, the latest slot first.
-- In: the first part, state or empty, limit. Out: the columns of onebeat_runs.
(
	SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
	FROM onebeat_runs
	WHERE part >= ?1 AND part > 0 AND (?2 = '' OR state = ?2)
	ORDER BY slot DESC, entry_id
	LIMIT ?3
)
UNION ALL
(
	SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
	FROM onebeat_parts AS part
	STRAIGHT_JOIN onebeat_runs AS r FORCE INDEX (onebeat_runs_part) ON r.part = part.part
	WHERE part.part BETWEEN 1 AND ?1 - 1 AND part.last_slot = 9223372036854775807 AND (?2 = '' OR state = ?2)
	ORDER BY slot DESC, entry_id
	LIMIT ?3
)
ORDER BY slot DESC, entry_id
LIMIT ?3
