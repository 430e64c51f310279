-- Takes the lease if it has ended, or if its holder had the session lock that the
-- asker has now, which means that the holder's session is dead; and only if the asker parts
-- entries among as many shards as the installation does, which it goes on doing until then.
-- In: shard, owner, length in microseconds, whether the asker has the session lock, shards.
-- Out: the new term and the database's clock, or no row when another holds the lease.
INSERT INTO onebeat_leases AS lease (shard, owner, term, seq, guarded, expires_at)
SELECT $1::integer, $2, 1, 0, $4::boolean, clock_timestamp() + $3::bigint * interval '1 microsecond'
FROM onebeat_meta WHERE key = 'shards' AND value = $5::integer::text FOR SHARE
ON CONFLICT (shard) DO UPDATE
SET owner = excluded.owner, term = lease.term + 1, guarded = excluded.guarded,
	expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
WHERE lease.expires_at <= clock_timestamp() OR lease.guarded AND excluded.guarded
RETURNING term, clock_timestamp()
