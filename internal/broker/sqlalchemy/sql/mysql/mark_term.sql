-- Makes lower terms be refused.
-- In: term, installation, shard. Out: one row written.
UPDATE onebeat_marks SET term = ? WHERE installation = ? AND shard = ?
