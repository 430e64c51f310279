-- The latest parts of the ledger, that which began last first: without part 0, in which the runs of an older onebeat are.
-- In: how many at most. Out: number, how many runs were recorded in it, 0 if it has not ended.
SELECT part, runs
FROM onebeat_parts
WHERE part > 0
ORDER BY part DESC
LIMIT ?1
