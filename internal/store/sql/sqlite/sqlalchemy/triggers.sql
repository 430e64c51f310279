-- How many of the triggers that write onebeat_changes are in place and enabled.
-- In: nothing. Out: the count.
SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'onebeat\_sqlalchemy\_%' ESCAPE '\'
