-- Runs, the latest slot first: all, or by the index those of an entry.
-- In: entry id or empty, the earliest slot or null, state or empty, limit, the latest slot or null.
-- Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE $1::text = '' AND ($2::timestamptz IS NULL OR slot >= $2) AND ($5::timestamptz IS NULL OR slot <= $5) AND ($3::text = '' OR state = $3)
UNION ALL
SELECT run.*
FROM onebeat_parts AS part
CROSS JOIN LATERAL (
	SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
	FROM onebeat_runs
	WHERE onebeat_runs.part = part.part AND day BETWEEN part.first_day AND part.last_day
		AND entry_id = $1 AND ($2 IS NULL OR slot >= $2) AND ($5 IS NULL OR slot <= $5) AND ($3 = '' OR state = $3)
	ORDER BY slot DESC
	LIMIT $4
) AS run
WHERE $1 <> '' AND ($2 IS NULL OR part.last_slot >= $2) AND ($5 IS NULL OR part.first_slot <= $5)
ORDER BY slot DESC, entry_id
LIMIT $4
