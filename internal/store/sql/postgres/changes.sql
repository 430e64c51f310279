-- The hints that were committed since the cursor was taken, whatever their order of commit:
-- those that the cursor's snapshot did not see and this one does. The cursor is read by queries of their own, once and not for each hint.
-- In: cursor, how many hints at most. Out: the next cursor, with each hint's entry id ('' for any entry); one row with a null id when there are none.
SELECT pg_current_snapshot()::text, hint.entry_id
FROM (VALUES (1)) AS always
LEFT JOIN (
	SELECT coalesce(entry_id, '') AS entry_id
	FROM onebeat_changes
	WHERE xid >= (SELECT pg_snapshot_xmin($1::text::pg_snapshot)) AND NOT pg_visible_in_snapshot(xid, (SELECT $1::text::pg_snapshot))
	ORDER BY xid LIMIT $2
) AS hint ON true
