-- The facts that tell of which shards, of how many, what was seen of entries for the first time may not be written down, and since when.
-- In: nothing. Out: key, value.
SELECT key, value FROM onebeat_meta WHERE key LIKE 'put_off:%'
