-- Tells how many bytes a message may have.
-- In: the table's name. Out: the number; no row if there is no such table.
SELECT LEAST(character_octet_length, 2147483647) FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = ? AND column_name = 'payload'
