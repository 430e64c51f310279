-- Some rows of the catalog; see entries.
-- In: ids. Out: as entries.
SELECT * FROM ({{entries}}) AS entries WHERE key = ANY ($1::text[]::{{id_type}}[])
