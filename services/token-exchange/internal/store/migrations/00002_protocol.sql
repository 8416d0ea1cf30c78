-- +goose Up
-- A key that was ended before its time neither signs nor is published from
-- retires_at on.
ALTER TABLE signing_keys ADD COLUMN retires_at timestamptz;

-- What was revoked here: tokens, and clients' tokens up to a moment. key is the
-- hash that every replica's list uses. bucket is when the NATS bucket was made
-- into which the row was put; NULL: it still has to be.
CREATE TABLE revocations (
    kind       text        NOT NULL CHECK (kind IN ('jti', 'client')),
    key        bytea       NOT NULL CHECK (octet_length(key) = 16),
    revoked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    bucket     timestamptz,
    PRIMARY KEY (kind, key)
);
CREATE INDEX revocations_changed_at ON revocations (changed_at);
CREATE INDEX revocations_unprojected ON revocations (revoked_at) WHERE bucket IS NULL;

-- A workload proves its client by its own token: found by exact issuer and subject.
CREATE INDEX clients_workloads ON clients USING gin ((spec -> 'workloads') jsonb_path_ops);

-- +goose Down
DROP INDEX clients_workloads;
DROP TABLE revocations;
ALTER TABLE signing_keys DROP COLUMN retires_at;
