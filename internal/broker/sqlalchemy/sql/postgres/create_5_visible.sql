-- Makes an index of messages, as kombu does.
-- In: nothing. Out: nothing.
CREATE INDEX IF NOT EXISTS {{index_visible}} ON {{message}} (visible)
