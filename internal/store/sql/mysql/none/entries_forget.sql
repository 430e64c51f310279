-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: ids of entries that are in no row and stay. Out: nothing.
DELETE FROM onebeat_entries WHERE paused_at IS NULL AND entry_id NOT IN (SELECT kept.id FROM JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS kept)
