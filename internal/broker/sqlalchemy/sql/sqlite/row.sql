-- One row of message_insert.
-- In: payload, queue's id. Out: nothing.
(TRUE, NULL, ?, 1, ?)
