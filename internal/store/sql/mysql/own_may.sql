-- Asks whether the user may make tables, and makes none: the one to be like is not there, which is said to
-- who may alone.
-- In: nothing. Out: nothing; it fails.
CREATE TABLE onebeat_probe (LIKE onebeat_nothing)
