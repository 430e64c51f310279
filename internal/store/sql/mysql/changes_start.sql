-- Where the log of changes stands now.
-- In: nothing. Out: its last sequence number.
SELECT coalesce(max(seq), 0) FROM onebeat_changes
