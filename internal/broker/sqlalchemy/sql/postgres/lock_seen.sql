-- Tells whether another session has the lock, in this database.
-- In: key. Out: true or false.
SELECT NOT pg_try_advisory_xact_lock(?)
