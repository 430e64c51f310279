-- Makes the table of messages, as kombu does.
-- In: nothing. Out: nothing.
CREATE TABLE IF NOT EXISTS {{message}} (
	id INTEGER NOT NULL,
	visible BOOLEAN,
	timestamp TIMESTAMP WITHOUT TIME ZONE,
	payload TEXT NOT NULL,
	version SMALLINT NOT NULL,
	queue_id INTEGER,
	PRIMARY KEY (id),
	CONSTRAINT "FK_kombu_message_queue" FOREIGN KEY (queue_id) REFERENCES {{queue}} (id)
)
