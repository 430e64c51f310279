-- Asks for a run now.
-- In: id, entry id, by. Out: nothing.
INSERT INTO onebeat_requests (id, entry_id, asked_at, asked_by) VALUES (?1, ?2, CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), ?3)
