-- Makes the ledger's partitions of the coming days and drops those that are old.
-- In: days to keep, 0 for all. Out: one row.
SELECT onebeat_tend_runs($1)
