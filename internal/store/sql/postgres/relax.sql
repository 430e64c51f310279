-- Lets this transaction's commit return before it is on disk.
-- In: nothing. Out: nothing.
SET LOCAL synchronous_commit = off
