-- Tells whether a table is there.
-- In: name. Out: one row if it is.
SELECT 1 WHERE to_regclass(quote_ident(?)) IS NOT NULL
