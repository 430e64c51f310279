-- Begins a part of the ledger, which may have any slots, and is recorded in within a day.
-- In: its number. Out: nothing.
INSERT INTO onebeat_parts (part, runs, first_slot, last_slot, first_day, last_day)
SELECT $1::bigint, 0, '-infinity', 'infinity', today - 1, today + 1 FROM (SELECT (now() AT TIME ZONE 'UTC')::date) AS clock (today)
