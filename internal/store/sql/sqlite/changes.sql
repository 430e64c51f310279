-- The hints since the cursor, whose order is that of commit: there is one writer at a time.
-- In: cursor. Out: the next cursor, with each hint's entry id ('' for any entry); one row with a null id when there are none.
SELECT max(?1, coalesce((SELECT max(seq) FROM onebeat_changes), 0)), hint.entry_id
FROM (SELECT 1) AS always
LEFT JOIN (
	SELECT DISTINCT coalesce(entry_id, '') AS entry_id FROM onebeat_changes WHERE seq > ?1
) AS hint
