-- Takes a lock of this session's, in this database.
-- In: key. Out: nothing that matters.
SELECT pg_advisory_lock(?)
