-- Remembers what ended beside the rows: the last sent slot, the last slot that ended
-- unsent, and how many were sent.
-- In, for each entry: id, sent slot (null: none), unsent slot (null: none), sent slots. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]', sent bigint PATH '$[1]', unsent bigint PATH '$[2]', sends bigint PATH '$[3]')) AS ended
STRAIGHT_JOIN onebeat_entries AS e FORCE INDEX (PRIMARY) ON e.entry_id = ended.id
SET e.last_slot = greatest(coalesce(e.last_slot, ended.sent), coalesce(ended.sent, e.last_slot)),
	e.after_at = greatest(e.after_at, coalesce(ended.unsent, e.after_at)),
	e.total_run_count = e.total_run_count + ended.sends
