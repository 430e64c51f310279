-- The database's clock.
-- In: nothing. Out: an instant.
SELECT clock_timestamp()
