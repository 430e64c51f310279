-- The windows in which slots are skipped.
-- In: nothing. Out: the columns of the table, in order.
SELECT name, scope, target, spec, zone, seconds, reason, made_by FROM onebeat_windows ORDER BY name
