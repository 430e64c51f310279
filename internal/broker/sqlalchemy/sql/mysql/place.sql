-- Tells which tables the names mean.
-- In: the names of the tables of queues and messages. Out: a text.
SELECT concat_ws(' ', DATABASE(), ?, ?)
