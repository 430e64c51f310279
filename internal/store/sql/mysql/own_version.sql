-- Which of onebeat's own migrations was the last that was made.
-- In: nothing. Out: its number.
SELECT coalesce(max(version_id), 0) FROM onebeat_schema
