-- How many batches are claimed and not recorded, of all shards.
-- In: nothing. Out: a number.
SELECT count(*) FROM onebeat_journal
