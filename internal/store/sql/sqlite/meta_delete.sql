-- Takes a fact of the installation away.
-- In: key. Out: nothing.
DELETE FROM onebeat_meta WHERE key = ?1
