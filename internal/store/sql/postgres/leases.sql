-- The leases that were ever held.
-- In: nothing. Out: microseconds left, not above zero when it has ended.
SELECT (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint FROM onebeat_leases
