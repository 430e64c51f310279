-- Takes one of onebeat's own tables away, which is named in the braces.
-- In: nothing. Out: nothing.
DROP TABLE IF EXISTS {{own_table}}
