-- Tells whether a table counts its ids by itself.
-- In: the table's name. Out: true or false; no row if there is no such table.
SELECT extra LIKE '%auto_increment%' FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = ? AND column_name = 'id'
