-- Gives the lock of lock_take back.
-- In: key. Out: nothing that matters.
SELECT pg_advisory_unlock(?)
