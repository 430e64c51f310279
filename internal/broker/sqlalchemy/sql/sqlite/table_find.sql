-- Tells whether a table is there.
-- In: name. Out: one row if it is.
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?
