-- How many rows the catalog has.
-- In: the table. Out: how many.
SELECT ({{entry_count}}) WHERE ?1 <> ''
