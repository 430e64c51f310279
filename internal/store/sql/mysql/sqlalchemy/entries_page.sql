-- A page of the catalog's rows; see entries.
-- In: the key to start after, or null; the length of a page. Out: as entries.
{{entries}}
WHERE (?1 IS NULL OR s.id > ?1) ORDER BY s.id LIMIT ?2
