-- Remembers the specs that were seen and since when their slots count. Where another node
-- remembered the same spec first, its instant stays.
-- Of several of one id, as a table may have whose ids are not unique, the last counts.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries AS e (entry_id, spec, after_at, spec_at)
SELECT DISTINCT ON (seen.id COLLATE "C") seen.id, seen.spec, seen.at, seen.at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS seen (id, spec, at, n)
ORDER BY seen.id COLLATE "C", seen.n DESC
ON CONFLICT (entry_id) DO UPDATE SET spec = excluded.spec, after_at = greatest(e.after_at, excluded.after_at), spec_at = excluded.spec_at
WHERE e.spec <> excluded.spec
