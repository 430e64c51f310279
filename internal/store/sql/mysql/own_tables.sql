-- How many tables onebeat has of its own.
-- In: nothing. Out: the count.
SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'onebeat_schema'
