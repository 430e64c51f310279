-- How many of the triggers that write onebeat_changes are in place and enabled.
-- In: nothing. Out: the count.
SELECT count(*) FROM information_schema.triggers
WHERE trigger_schema = database() AND trigger_name LIKE 'onebeat\\_sqlalchemy\\_%'
