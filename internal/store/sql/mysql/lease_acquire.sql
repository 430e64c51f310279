-- Takes the lease if it has ended, or if its holder had the session lock that the
-- asker has now, which means that the holder's session is dead; and only if the asker parts
-- entries among as many shards as the installation does, which it goes on doing until then.
-- lease_seed makes one that was never held, and lease_term tells what it answers.
-- In: shard, owner, length in microseconds, whether the asker has the session lock, shards.
-- Out: one row changed, or none when another holds the lease.
UPDATE onebeat_leases
SET owner = ?2, term = term + 1, guarded = ?4, expires_at = CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) + ?3
WHERE shard = ?1 AND (expires_at <= CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) OR guarded AND ?4)
AND EXISTS (SELECT 1 FROM onebeat_meta WHERE `key` = 'shards' AND value = CAST(?5 AS CHAR) LOCK IN SHARE MODE)
