-- Changes a fact of the installation if it is as it was read.
-- In: key, value as read, value. Out: nothing.
UPDATE onebeat_meta SET value = ?3 WHERE `key` = ?1 AND value = ?2
