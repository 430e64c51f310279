-- The runs that were asked for and are not recorded.
-- In: nothing. Out: id, entry_id, asked_at, asked_by.
SELECT id, entry_id, asked_at, asked_by FROM onebeat_requests ORDER BY asked_at, id
