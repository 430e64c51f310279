-- Tells who watches the package's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none). Out: nothing.
INSERT INTO celery_periodictaskchanged (id, last_update)
SELECT 1, strftime('%Y-%m-%d %H:%M:%f000', 'now') FROM celery_periodictask WHERE id = CAST(?1 AS INTEGER) AND one_off AND ?2 IS NOT NULL
ON CONFLICT (id) DO UPDATE SET last_update = max(last_update, excluded.last_update)
