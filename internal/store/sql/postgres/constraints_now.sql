-- Checks at once what constraints and triggers of the user's would check at the commit.
-- In: nothing. Out: nothing.
SET CONSTRAINTS ALL IMMEDIATE
