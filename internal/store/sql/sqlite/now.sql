-- The database's clock.
-- In: nothing. Out: an instant.
SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)
