-- Takes the trigger away, to be made anew.
-- In: nothing. Out: nothing.
DROP TRIGGER IF EXISTS onebeat_sqlalchemy_update ON {{schema}}celery_periodictask
