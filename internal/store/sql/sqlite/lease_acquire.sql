-- Takes the lease if it has ended, or if its holder had the session lock that the
-- asker has now, which means that the holder's session is dead; and only if the asker parts
-- entries among as many shards as the installation does.
-- In: shard, owner, length in microseconds, whether the asker has the session lock, shards.
-- Out: the new term and the database's clock, or no row when another holds the lease.
INSERT INTO onebeat_leases AS lease (shard, owner, term, seq, guarded, expires_at)
SELECT ?1, ?2, 1, 0, ?4, CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?3
FROM onebeat_meta WHERE key = 'shards' AND value = CAST(?5 AS TEXT)
ON CONFLICT (shard) DO UPDATE
SET owner = excluded.owner, term = lease.term + 1, guarded = excluded.guarded, expires_at = excluded.expires_at
WHERE lease.expires_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER) OR lease.guarded AND excluded.guarded
RETURNING term, CAST(unixepoch('subsec') * 1000000 AS INTEGER)
