-- Makes the mark of a new installation.
-- In: installation, shard. Out: one row written, or none if it is there.
INSERT IGNORE INTO onebeat_marks (installation, shard, term, seq, done, note) VALUES (?, ?, 0, 0, 0, '')
