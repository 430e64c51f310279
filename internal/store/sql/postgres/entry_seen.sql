-- Remembers the specs that were seen and since when their slots count. Where another node
-- remembered the same spec first, its instant stays.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries AS e (entry_id, spec, after_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (entry_id) DO UPDATE SET spec = excluded.spec, after_at = greatest(e.after_at, excluded.after_at)
WHERE e.spec <> excluded.spec
