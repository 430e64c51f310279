-- One row of message_insert.
-- In: payload, queue's id. Out: nothing.
(NEXT VALUE FOR message_id_sequence, TRUE, NULL, ?, 1, ?)
