-- Makes a queue.
-- In: name. Out: one row written, or none if another made it.
INSERT INTO {{queue}} (name) VALUES (?)
ON CONFLICT DO NOTHING
