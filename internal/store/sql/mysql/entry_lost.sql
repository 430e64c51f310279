-- Remembers that entries have nothing to plan any more.
-- In, for each entry: id. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]')) AS lost
STRAIGHT_JOIN onebeat_entries AS e FORCE INDEX (PRIMARY) ON e.entry_id = lost.id
SET e.spec = ''
