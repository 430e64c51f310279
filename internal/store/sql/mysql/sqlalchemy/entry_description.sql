-- What a person wrote of an entry for others to read.
-- In: id. Out: the text.
SELECT coalesce({{description}}, '') FROM celery_periodictask AS s WHERE s.id = ?1
