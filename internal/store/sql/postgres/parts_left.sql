-- What parts of the ledger have that began more than a day ago, by their numbers, and that nobody has ended.
-- In: nothing. Out: number, how many runs, their earliest slot, the latest one, also of ranges; where it has none, when it began.
SELECT part.part, run.count, coalesce(run.first_slot, began), coalesce(run.last_slot, began)
FROM onebeat_parts AS part
CROSS JOIN LATERAL (SELECT to_timestamp(part.part / 1e6) AS began) AS clock
CROSS JOIN LATERAL (
	SELECT count(*), min(slot) AS first_slot, max(coalesce(through, slot)) AS last_slot
	FROM onebeat_runs
	WHERE onebeat_runs.part = part.part AND day BETWEEN part.first_day AND part.last_day
) AS run
WHERE part.part BETWEEN 1 AND (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 86400000000 AND part.last_slot = 'infinity'
