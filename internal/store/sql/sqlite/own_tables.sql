-- How many tables onebeat has of its own.
-- In: nothing. Out: the count.
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'onebeat_schema'
