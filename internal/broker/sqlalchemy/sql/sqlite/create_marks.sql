-- Makes the table of marks: how far each installation has got with its messages.
-- In: nothing. Out: nothing.
CREATE TABLE IF NOT EXISTS onebeat_marks (
	installation VARCHAR(100) NOT NULL,
	shard INTEGER NOT NULL,
	term BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	done BIGINT NOT NULL,
	note BLOB NOT NULL,
	PRIMARY KEY (installation, shard)
)
