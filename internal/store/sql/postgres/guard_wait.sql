-- Waits for a lock of the session's, so long at most.
-- In: milliseconds, as a text; the lock's key. Out: nothing that matters; an error when the time is over.
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $1, true))
SELECT pg_advisory_lock($2) FROM patience
