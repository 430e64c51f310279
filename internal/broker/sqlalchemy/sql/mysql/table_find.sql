-- Tells whether a table is there.
-- In: name. Out: one row if it is.
SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?
