-- Tells whether another session has the lock, on this server.
-- In: name. Out: true or false.
SELECT is_free_lock(?) = 0
