-- Where the log of changes stands now.
-- In: nothing. Out: a cursor for changes.
SELECT pg_current_snapshot()::text
