-- How far each sink is, and which collector serves it: see feed.go.
CREATE TABLE positions (sink TEXT NOT NULL, device TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
	PRIMARY KEY (sink, device, epoch)) WITHOUT ROWID;
CREATE TABLE turns (sink TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL, missed INTEGER NOT NULL) WITHOUT ROWID;
