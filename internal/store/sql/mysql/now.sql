-- The database's clock.
-- In: nothing. Out: an instant.
SELECT CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED)
