-- Keeps the number of shards as it is until the transaction ends.
-- In: nothing. Out: nothing.
UPDATE onebeat_meta SET value = value WHERE key = 'shards'
