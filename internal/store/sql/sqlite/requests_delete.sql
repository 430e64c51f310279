-- Forgets requests that were recorded.
-- In: ids. Out: nothing.
DELETE FROM onebeat_requests WHERE id IN (SELECT value FROM json_each(?1))
