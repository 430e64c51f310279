-- Writes runs in the ledger that were sent and are nothing out of the way. The last line, one run, is repeated for more.
-- In: the part, the node, its term, and for each run: entry id, name, task, slot, task id, queue, when it was sent. Out: nothing.
INSERT OR FAIL INTO onebeat_runs
	(part, node, term, entry_id, name, task, slot, task_id, queue, sent_at, through, count, state, reason, request, recovered)
VALUES
	(?1, ?2, ?3, ?, ?, ?, ?, ?, ?, ?, NULL, 1, 'sent', '', '', 0)
