-- Writes runs in the ledger. (PostgreSQL copies the same columns.) The last line, one run, is
-- repeated for more.
-- In, for each run: the part, the other columns in order. Out: nothing.
INSERT INTO onebeat_runs
	(part, entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered)
VALUES
	(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
