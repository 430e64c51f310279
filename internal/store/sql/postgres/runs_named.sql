-- Runs of entries that had a name when they ran, the latest slot first. It looks into the parts of the ledger that may have slots from
-- the instant on: see runs_since.
-- In: name, the earliest slot, limit. Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE name = $1 AND slot >= $2 AND day >= ($2::timestamptz AT TIME ZONE 'UTC')::date - 1
	AND (part < 1000000000000000 OR part > (extract(epoch FROM $2::timestamptz) * 1000000)::bigint - 46800000000)
ORDER BY slot DESC, entry_id
LIMIT $3
