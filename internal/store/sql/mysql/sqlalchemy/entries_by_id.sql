-- Some rows of the catalog; see entries.
-- In: ids. Out: as entries.
{{entries}}
WHERE s.id IN (SELECT asked.id FROM JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$')) AS asked)
