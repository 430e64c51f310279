-- The ids of all rows of the catalog. UUIDs are not made texts of here.
-- In: nothing. Out: id.
SELECT {{id_as_is}} FROM celery_beat_schedules AS s
