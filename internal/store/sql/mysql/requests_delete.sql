-- Forgets requests that were recorded.
-- In: ids. Out: nothing.
DELETE r
FROM JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS gone
STRAIGHT_JOIN onebeat_requests AS r FORCE INDEX (PRIMARY) ON r.id = gone.id
