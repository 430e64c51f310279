-- Makes the table of queues, as kombu does.
-- In: nothing. Out: nothing.
CREATE TABLE IF NOT EXISTS {{queue}} (
	id INTEGER NOT NULL,
	name VARCHAR(200),
	PRIMARY KEY (id),
	UNIQUE (name)
) ENGINE=InnoDB
