-- Makes a lease that nobody holds, if there is none.
-- In: shard. Out: nothing.
INSERT IGNORE INTO onebeat_leases (shard, owner, term, seq, guarded, expires_at) VALUES (?1, '', 0, 0, 0, 0)
