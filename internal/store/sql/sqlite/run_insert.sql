-- Writes runs in the ledger. (PostgreSQL copies the same columns.)
-- In, for each run: the columns in order. Out: nothing.
INSERT INTO onebeat_runs (entry_id, name, task, slot, through, count, state, reason, task_id, queue, request, node, term, sent_at, recovered)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
