-- Makes the ids of queues, as SQLAlchemy does for kombu.
-- In: nothing. Out: nothing.
CREATE SEQUENCE IF NOT EXISTS queue_id_sequence
