-- Asks for a run now.
-- In: id, entry id, by. Out: nothing.
INSERT INTO onebeat_requests (id, entry_id, asked_at, asked_by) VALUES ($1, $2, clock_timestamp(), $3)
