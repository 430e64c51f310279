-- Gives the lock of lock_take back.
-- In: name. Out: nothing that matters.
SELECT release_lock(?)
