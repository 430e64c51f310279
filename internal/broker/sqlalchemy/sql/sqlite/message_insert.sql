-- Puts messages into queues, in order. A timestamp would let them overtake others
-- on PostgreSQL, where kombu reads in order of timestamp and nulls come last.
-- In: payload and queue's id, for each row. Out: the rows written.
INSERT INTO {{message}} ({{message_columns}}) VALUES {{rows}}
