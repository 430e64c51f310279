-- Moves the mark on, unless a higher term was seen or some of the messages that
-- go with it were sent before.
-- In: term, seq, done, note, installation, shard, term, seq, seq, the first message's place. Out: one row written, or none.
UPDATE onebeat_marks SET term = ?, seq = ?, done = ?, note = ?
WHERE installation = ? AND shard = ? AND term <= ? AND (seq < ? OR seq = ? AND done <= ?)
