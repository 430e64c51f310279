-- Tells what server it is.
-- In: nothing. Out: its version, with the word MariaDB if it is that.
SELECT VERSION()
