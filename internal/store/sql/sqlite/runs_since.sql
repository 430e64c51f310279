-- Runs that were sent after an instant, in that order. It looks into the parts of the ledger that may have some: those
-- that began half a day before or later (store.partFor), and those whose number says nothing of when they began.
-- In: instant, limit. Out: the columns of onebeat_runs.
SELECT entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered
FROM onebeat_runs
WHERE state = 'sent' AND sent_at > ?1 AND (part < 1000000000000000 OR part > ?1 - 46800000000)
ORDER BY sent_at, slot, entry_id
LIMIT ?2
