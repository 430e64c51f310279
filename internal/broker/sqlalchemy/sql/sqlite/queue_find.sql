-- Finds a queue by its name.
-- In: name. Out: id.
SELECT id FROM {{queue}} WHERE name = ?
