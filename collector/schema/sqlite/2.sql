ALTER TABLE tokens ADD COLUMN call TEXT;
CREATE TABLE site (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE holes (device TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	noticed INTEGER NOT NULL, PRIMARY KEY (device, epoch, first)) WITHOUT ROWID;
CREATE TABLE removals (n INTEGER PRIMARY KEY, device TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL,
	last INTEGER NOT NULL, aside INTEGER NOT NULL, body BLOB NOT NULL, sig TEXT NOT NULL);
CREATE INDEX removals_of ON removals (device, epoch);
-- What identity.go keeps. The row of a device in revocations is locked by whoever decides about its certificates.
CREATE TABLE certificates (id TEXT PRIMARY KEY, device TEXT NOT NULL, issued INTEGER NOT NULL,
	until INTEGER NOT NULL, used INTEGER, revoked INTEGER) WITHOUT ROWID;
CREATE INDEX certificates_of ON certificates (device, issued);
CREATE TABLE revocations (device TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID;
CREATE TABLE sightings (device TEXT NOT NULL, what TEXT NOT NULL, value TEXT NOT NULL, turn INTEGER NOT NULL,
	since INTEGER NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (device, what, value)) WITHOUT ROWID;
CREATE TABLE shared (device TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
