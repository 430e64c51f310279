-- Takes the triggers away, on whichever tables they are, with what they call.
-- In: nothing. Out: nothing.
DROP FUNCTION IF EXISTS onebeat_note_sqlalchemy_changes CASCADE
