-- Asks whether the user may make tables: who may write to the file may.
-- In: nothing. Out: nothing of use.
SELECT 1
