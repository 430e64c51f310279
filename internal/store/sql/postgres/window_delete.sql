-- Removes a window.
-- In: name. Out: one row changed, or none.
DELETE FROM onebeat_windows WHERE name = $1
