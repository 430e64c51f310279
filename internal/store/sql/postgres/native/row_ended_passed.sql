-- Does what row_ended_counted does to rows that this transaction has not written yet.
-- In and out: as row_ended_counted.
{{row_ended_counted}} AND s.xmin <> pg_current_xact_id()::xid
