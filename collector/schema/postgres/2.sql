-- How far each sink is, and which collector serves it: see feed.go.
CREATE TABLE positions (sink text COLLATE "C" NOT NULL, device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, seq bigint NOT NULL,
	PRIMARY KEY (sink, device, epoch)) WITH (fillfactor = 80);
CREATE TABLE turns (sink text COLLATE "C" PRIMARY KEY, holder text COLLATE "C" NOT NULL, until timestamptz NOT NULL, missed bigint NOT NULL);
