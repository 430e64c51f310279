-- Adds a window.
-- In: the columns of the table, in order. Out: nothing.
INSERT INTO onebeat_windows (name, scope, target, spec, zone, seconds, reason, made_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
