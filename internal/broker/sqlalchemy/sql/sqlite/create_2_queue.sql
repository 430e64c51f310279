-- Makes the table of queues, as kombu does.
-- In: nothing. Out: nothing.
CREATE TABLE IF NOT EXISTS {{queue}} (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name VARCHAR(200),
	UNIQUE (name)
)
