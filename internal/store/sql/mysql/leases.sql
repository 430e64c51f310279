-- The leases that were ever held.
-- In: nothing. Out: microseconds left, not above zero when it has ended.
SELECT expires_at - CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) FROM onebeat_leases
