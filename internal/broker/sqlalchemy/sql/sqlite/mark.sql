-- Reads a mark; the transaction holds the whole file.
-- In: installation, shard. Out: term, seq, done, note.
SELECT term, seq, done, note FROM onebeat_marks WHERE installation = ? AND shard = ?
