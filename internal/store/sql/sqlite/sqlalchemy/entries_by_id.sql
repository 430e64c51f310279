-- Some rows of the catalog; see entries.
-- In: ids. Out: as entries.
{{entries}}
WHERE s.id IN (SELECT CAST(value AS INTEGER) FROM json_each(?1))
