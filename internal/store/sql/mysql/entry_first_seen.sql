-- Remembers the specs of entries that were seen for the first time and since when their slots count.
-- What is remembered of one already stays.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries (entry_id, spec, after_at, spec_at)
SELECT seen.id, seen.spec, seen.after_at, seen.after_at
FROM JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]', spec varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]', after_at bigint PATH '$[2]')) AS seen
ON DUPLICATE KEY UPDATE spec = onebeat_entries.spec
