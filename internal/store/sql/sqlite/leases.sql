-- The leases that were ever held.
-- In: nothing. Out: microseconds left, not above zero when it has ended.
SELECT expires_at - CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM onebeat_leases
