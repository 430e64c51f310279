-- Where the log of changes stands now.
-- In: nothing. Out: a cursor for changes.
SELECT coalesce(max(seq), 0) FROM onebeat_changes
