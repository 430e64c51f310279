-- Runs, the latest slot first: all, or by the index those of an entry.
-- In: entry id or empty, the earliest slot or null, state or empty, limit, the latest slot or null.
-- Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE ?1 = '' AND (?2 IS NULL OR slot >= ?2) AND (?5 IS NULL OR slot <= ?5) AND (?3 = '' OR state = ?3)
UNION ALL
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_parts AS part
CROSS JOIN onebeat_runs AS run ON run.part = part.part AND run.entry_id = ?1
WHERE ?1 <> '' AND (?2 IS NULL OR part.last_slot >= ?2 AND slot >= ?2) AND (?5 IS NULL OR part.first_slot <= ?5 AND slot <= ?5) AND (?3 = '' OR state = ?3)
ORDER BY slot DESC, entry_id
LIMIT ?4
