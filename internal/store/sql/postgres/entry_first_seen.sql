-- Remembers the specs of entries that were seen for the first time and since when their slots count.
-- What is remembered of one already stays.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries (entry_id, spec, after_at, spec_at)
SELECT seen.id, seen.spec, seen.at, seen.at FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS seen (id, spec, at)
ON CONFLICT (entry_id) DO NOTHING
