-- Reads a mark, and holds it until the transaction ends.
-- In: installation, shard. Out: term, seq, done, note.
SELECT term, seq, done, note FROM onebeat_marks WHERE installation = ? AND shard = ? FOR UPDATE
