-- About how many rows a table has, as the server guesses without a look at it.
-- In: the table. Out: how many.
SELECT coalesce(table_rows, 0) FROM information_schema.tables WHERE table_schema = database() AND table_name = ?
