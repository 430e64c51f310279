-- Hints that an entry changed, and wakes those who watch when the transaction commits.
-- In: entry id. Out: nothing that matters.
WITH noted AS (INSERT INTO onebeat_changes (entry_id) VALUES ($1) RETURNING seq)
SELECT pg_notify('onebeat_changes', '') FROM noted
