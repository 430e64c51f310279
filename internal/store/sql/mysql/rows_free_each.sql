-- Locks those rows of entries that no other program holds, one after the other (MariaDB alone): it stands in line for none.
-- In: @onebeat_asked, ids. Out: @onebeat_free, the ids of the rows that are locked.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR BEGIN NOT ATOMIC
	DECLARE one {{id_type}};
	DECLARE free longtext DEFAULT '';
	DECLARE CONTINUE HANDLER FOR 1205 BEGIN END; -- it is held
	FOR each_of IN (SELECT asked.id FROM JSON_TABLE(@onebeat_asked, '$[*]' COLUMNS (id {{id_type}} PATH '$')) AS asked) DO
		SET one = NULL;
		SELECT s.id INTO one FROM {{table}} AS s FORCE INDEX (PRIMARY) WHERE s.id = each_of.id FOR UPDATE;
		IF one IS NOT NULL THEN
			SET free = concat(free, ',', json_quote(CAST(one AS char)));
		END IF;
	END FOR;
	SET @onebeat_free = concat('[', substr(free, 2), ']');
END
