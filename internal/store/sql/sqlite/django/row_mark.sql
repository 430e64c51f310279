-- Tells who watches Django's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none), seconds that the columns are ahead of UTC. Out: nothing.
INSERT INTO django_celery_beat_periodictasks (ident, last_update)
SELECT 1, strftime('%Y-%m-%d %H:%M:%f', 'now', ?3 || ' seconds') FROM django_celery_beat_periodictask WHERE id = CAST(?1 AS INTEGER) AND one_off AND ?2 IS NOT NULL
ON CONFLICT (ident) DO UPDATE SET last_update = max(last_update, excluded.last_update)
