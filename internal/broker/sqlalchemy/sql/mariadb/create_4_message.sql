-- Makes the table of messages, as kombu does.
-- In: nothing. Out: nothing.
CREATE TABLE IF NOT EXISTS {{message}} (
	id INTEGER NOT NULL,
	visible BOOLEAN,
	timestamp DATETIME,
	payload TEXT NOT NULL,
	version SMALLINT NOT NULL,
	queue_id INTEGER,
	PRIMARY KEY (id),
	KEY {{index_timestamp}} (timestamp),
	KEY ix_kombu_message_timestamp_id (timestamp, id),
	KEY {{index_visible}} (visible),
	CONSTRAINT `FK_kombu_message_queue` FOREIGN KEY (queue_id) REFERENCES {{queue}} (id)
) ENGINE=InnoDB
