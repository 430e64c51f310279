-- Tells which tables the names mean; of one that is not there, where it would be made.
-- In: the names of the tables of queues and messages. Out: a text.
SELECT concat_ws(' ',
	coalesce(to_regclass(quote_ident(?))::oid::text, current_schema()::text),
	coalesce(to_regclass(quote_ident(?))::oid::text, current_schema()::text),
	coalesce(to_regclass('onebeat_marks')::oid::text, current_schema()::text))
