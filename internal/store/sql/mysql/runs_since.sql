-- Runs that were sent after an instant, in that order. It reads all of the ledger: it is
-- asked only when the broker has lost something.
-- In: instant, limit. Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE state = 'sent' AND sent_at > ?1
ORDER BY sent_at, slot, entry_id
LIMIT ?2
