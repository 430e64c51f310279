-- Some rows of the catalog without what onebeat remembers of them, by where they lay; see entries_alone. Other
-- rows may lie there now.
-- In: places. Out: as entries_alone.
{{entries_alone}} WHERE s.ctid = ANY ($1::tid[])
