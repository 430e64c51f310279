-- Tells which file this is.
-- In: nothing. Out: its path.
SELECT file FROM pragma_database_list WHERE name = 'main'
