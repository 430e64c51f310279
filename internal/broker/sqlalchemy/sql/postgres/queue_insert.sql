-- Makes a queue.
-- In: name. Out: one row written, or none if another made it.
INSERT INTO {{queue}} (id, name) VALUES (nextval('queue_id_sequence'), ?)
ON CONFLICT DO NOTHING
