-- The columns of message_insert.
-- In: nothing. Out: nothing.
id, visible, timestamp, payload, version, queue_id
