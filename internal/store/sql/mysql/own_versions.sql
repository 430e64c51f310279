-- Which of onebeat's own migrations were made.
-- In: nothing. Out: their numbers.
SELECT version_id FROM onebeat_schema
