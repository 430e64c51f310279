-- A page of the catalog's rows; see entries.
-- In: the rowid to start after, the length of a page. Out: as entries.
{{entries}}
WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2
