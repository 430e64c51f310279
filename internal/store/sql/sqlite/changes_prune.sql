-- Forgets hints that are old: a watcher that was away for longer compares everything anyway.
-- In: nothing. Out: nothing.
DELETE FROM onebeat_changes WHERE at < CAST(unixepoch('subsec') * 1000000 AS INTEGER) - 3600000000
