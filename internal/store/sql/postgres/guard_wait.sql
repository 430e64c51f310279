-- Waits for a lock of the session's, in a session that waits so long at most.
-- In: milliseconds, as a text; the lock's key. Out: nothing that matters; an error when the time is over.
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $1, false))
SELECT pg_advisory_lock($2) FROM patience
