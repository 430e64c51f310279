-- Forgets parts of the ledger whose runs are old: by their slots, or, of one that nobody has ended, by when it began, which is its
-- number but for a few that are counted from 1.
-- In: days to keep, 0 for all. Out: nothing.
DELETE FROM onebeat_parts
WHERE ?1 > 0 AND part > 0 AND (
	last_slot < CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?1 * 86400000000
	OR part BETWEEN 1000000000000000 AND CAST(unixepoch('subsec') * 1000000 AS INTEGER) - (?1 + 1) * 86400000000
)
