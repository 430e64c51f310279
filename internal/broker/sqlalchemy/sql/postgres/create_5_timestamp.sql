-- Makes an index of messages, as kombu does.
-- In: nothing. Out: nothing.
CREATE INDEX IF NOT EXISTS {{index_timestamp}} ON {{message}} (timestamp)
