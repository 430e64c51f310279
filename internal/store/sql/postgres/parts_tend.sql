-- Forgets parts of the ledger whose days are old.
-- In: days to keep, 0 for all. Out: nothing.
DELETE FROM onebeat_parts WHERE $1::integer > 0 AND part > 0 AND last_day < (now() AT TIME ZONE 'UTC')::date - $1::integer
