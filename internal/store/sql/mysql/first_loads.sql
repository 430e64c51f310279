-- The facts that tell of which shards, of how many, the entries were read to their end once, or those of all.
-- In: nothing. Out: key.
SELECT `key` FROM onebeat_meta WHERE `key` LIKE 'first_load%'
