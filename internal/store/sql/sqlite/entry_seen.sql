-- Remembers the specs that were seen and since when their slots count. Where another node
-- remembered the same spec first, its instant stays.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries (entry_id, spec, after_at, spec_at) VALUES (?1, ?2, ?3, ?3)
ON CONFLICT (entry_id) DO UPDATE SET spec = excluded.spec, after_at = max(after_at, excluded.after_at), spec_at = excluded.spec_at
WHERE spec <> excluded.spec
