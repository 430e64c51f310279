-- What parts of the ledger have that began more than a day ago, by their numbers, and that nobody has ended.
-- In: nothing. Out: number, how many runs, their earliest slot, the latest one, also of ranges; where it has none, when it began.
SELECT part.part, count(run.rowid), coalesce(min(run.slot), part.part), coalesce(max(coalesce(run.through, run.slot)), part.part)
FROM onebeat_parts AS part
LEFT JOIN onebeat_runs AS run ON run.part = part.part
WHERE part.part BETWEEN 1 AND CAST(unixepoch('subsec') * 1000000 AS INTEGER) - 86400000000 AND part.last_slot = 9223372036854775807
GROUP BY part.part
