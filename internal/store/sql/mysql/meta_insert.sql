-- Writes a fact of the installation unless there is one.
-- In: key, value. Out: nothing.
INSERT IGNORE INTO onebeat_meta (`key`, value) VALUES (?1, ?2)
