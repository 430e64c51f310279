-- A fact of the installation.
-- In: key. Out: value, or no row.
SELECT value FROM onebeat_meta WHERE `key` = ?1
