-- Some rows of the catalog without what onebeat remembers of them; see entries_alone.
-- In: ids. Out: as entries_alone.
{{entries_alone}} WHERE s.id = ANY ($1::text[]::{{id_type}}[])
