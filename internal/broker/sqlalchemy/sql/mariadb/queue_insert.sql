-- Makes a queue, where SQLAlchemy takes ids from a sequence.
-- In: name. Out: one row written, or none if another made it.
INSERT IGNORE INTO {{queue}} (id, name) VALUES (NEXT VALUE FOR queue_id_sequence, ?)
