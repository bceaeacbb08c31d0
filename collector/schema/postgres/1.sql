CREATE TABLE site (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);
CREATE TABLE tokens (hash text COLLATE "C" PRIMARY KEY, device text COLLATE "C" NOT NULL, expires timestamptz NOT NULL, used timestamptz,
	call text COLLATE "C");
CREATE TABLE devices (device text COLLATE "C" PRIMARY KEY, enrolled timestamptz NOT NULL, seen timestamptz) WITH (fillfactor = 80);
-- The row of an epoch is the authority for what is held of it: whoever adds to the epoch has it locked.
CREATE TABLE epochs (device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
	hash text COLLATE "C" NOT NULL, since timestamptz NOT NULL, PRIMARY KEY (device, epoch)) WITH (fillfactor = 80);
-- One partition for each month of receipt, each with a unique index (device, epoch, seq) of its own.
CREATE TABLE events (device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, seq bigint NOT NULL, hash text COLLATE "C" NOT NULL,
	type text COLLATE "C" NOT NULL, wall timestamptz NOT NULL, received timestamptz NOT NULL, body bytea NOT NULL)
	PARTITION BY RANGE (received);
CREATE TABLE conflicts (device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, seq bigint NOT NULL, hash text COLLATE "C" NOT NULL,
	type text COLLATE "C" NOT NULL, wall timestamptz NOT NULL, received timestamptz NOT NULL, body bytea NOT NULL,
	PRIMARY KEY (device, epoch, seq, hash));
CREATE TABLE holes (device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
	noticed timestamptz NOT NULL, PRIMARY KEY (device, epoch, first));
CREATE TABLE removals (n bigint PRIMARY KEY, device text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, first bigint NOT NULL,
	last bigint NOT NULL, aside boolean NOT NULL, body bytea NOT NULL, sig text COLLATE "C" NOT NULL);
CREATE INDEX removals_of ON removals (device, epoch);
-- What identity.go keeps. The row of a device in revocations is locked by whoever decides about its certificates.
CREATE TABLE certificates (id text COLLATE "C" PRIMARY KEY, device text COLLATE "C" NOT NULL, issued timestamptz NOT NULL,
	until timestamptz NOT NULL, used timestamptz, revoked timestamptz);
CREATE INDEX certificates_of ON certificates (device, issued);
CREATE TABLE revocations (device text COLLATE "C" PRIMARY KEY, at timestamptz);
CREATE TABLE sightings (device text COLLATE "C" NOT NULL, what text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL, turn bigint NOT NULL,
	since timestamptz NOT NULL, peer text COLLATE "C" NOT NULL, PRIMARY KEY (device, what, value));
CREATE TABLE shared (device text COLLATE "C" PRIMARY KEY, at timestamptz NOT NULL);
