-- Notes that a node is there, if it parts entries among as many shards as the installation does.
-- In: name, shards, whether it is fit for shards. Out: the number of rows says whether it does.
INSERT INTO onebeat_nodes (name, shards, fit, seen_at)
SELECT ?1, ?2, ?3, CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED)
FROM onebeat_meta WHERE `key` = 'shards' AND value = CAST(?2 AS CHAR)
ON DUPLICATE KEY UPDATE shards = VALUES(shards), fit = VALUES(fit), seen_at = VALUES(seen_at)
