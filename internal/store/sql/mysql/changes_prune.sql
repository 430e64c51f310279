-- Forgets hints that are old: a watcher that was away for longer compares everything anyway.
-- In: nothing. Out: nothing.
DELETE FROM onebeat_changes WHERE at < utc_timestamp(6) - INTERVAL 1 HOUR
