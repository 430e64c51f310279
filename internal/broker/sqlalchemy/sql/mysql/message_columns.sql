-- The columns of message_insert.
-- In: nothing. Out: nothing.
visible, timestamp, payload, version, queue_id
