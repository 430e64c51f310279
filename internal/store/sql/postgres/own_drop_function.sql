-- Takes away what made and dropped days of the ledger.
-- In: nothing. Out: nothing.
DROP FUNCTION IF EXISTS onebeat_tend_runs
