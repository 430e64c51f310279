-- Hints that any entry may have changed, and wakes those who watch when the transaction commits.
-- In: nothing. Out: nothing that matters.
WITH noted AS (INSERT INTO onebeat_changes (entry_id) VALUES (NULL) RETURNING seq)
SELECT pg_notify('onebeat_changes', '') FROM noted
