-- Forgets parts of the ledger of which no run is left.
-- In: nothing. Out: nothing.
DELETE FROM onebeat_parts WHERE part > 0 AND part < (SELECT part FROM onebeat_runs ORDER BY rowid LIMIT 1)
