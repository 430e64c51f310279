-- Forgets parts of the ledger whose runs are old: by their slots, or, of one that nobody has ended, by when it began, which is its
-- number.
-- In: days to keep, 0 for all. Out: nothing.
DELETE FROM onebeat_parts
WHERE ?1 > 0 AND part > 0 AND (
	last_slot < CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - ?1 * 86400000000
	OR part < CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - (?1 + 1) * 86400000000
)
