-- Makes an index of messages, as kombu does.
-- In: nothing. Out: nothing.
CREATE INDEX IF NOT EXISTS ix_kombu_message_timestamp_id ON {{message}} (timestamp, id)
