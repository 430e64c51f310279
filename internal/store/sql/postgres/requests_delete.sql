-- Forgets requests that were recorded.
-- In: ids. Out: nothing.
DELETE FROM onebeat_requests WHERE id = ANY ($1::text[])
