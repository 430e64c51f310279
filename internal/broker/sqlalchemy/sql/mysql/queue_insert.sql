-- Makes a queue.
-- In: name. Out: one row written, or none if another made it.
INSERT IGNORE INTO {{queue}} (name) VALUES (?)
