-- Makes the ids of messages, as SQLAlchemy does for kombu.
-- In: nothing. Out: nothing.
CREATE SEQUENCE IF NOT EXISTS message_id_sequence
