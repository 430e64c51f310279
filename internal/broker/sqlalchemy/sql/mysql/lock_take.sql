-- Takes a lock of this session's, on this server.
-- In: name. Out: nothing that matters.
SELECT get_lock(?, 0)
