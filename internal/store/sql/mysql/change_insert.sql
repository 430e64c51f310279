-- Hints that an entry changed, and wakes those who watch when the transaction commits.
-- In: entry id. Out: nothing that matters.
INSERT INTO onebeat_changes (entry_id) VALUES (?1)
