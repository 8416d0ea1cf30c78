-- +goose Up
-- The last version that was given to an event. Its row is locked from there to
-- the commit, so versions are the order of commits, without gaps.
CREATE TABLE version_counter (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    value  bigint  NOT NULL
);
INSERT INTO version_counter (value) VALUES (0);

-- Every delivery that was accepted, so that a retry has no second effect. Kept
-- for longer than a source may retry.
CREATE TABLE deliveries (
    source      text        NOT NULL,
    delivery_id text        NOT NULL CHECK (octet_length(delivery_id) BETWEEN 1 AND 255),
    type        text        NOT NULL,
    outcome     text        NOT NULL CHECK (outcome IN ('recorded', 'repeated', 'ignored', 'erased')),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, delivery_id)
);
CREATE INDEX deliveries_received_at ON deliveries (received_at);

CREATE TABLE events (
    version         bigint      PRIMARY KEY,
    id              uuid        NOT NULL UNIQUE,
    source          text        NOT NULL,
    type            text        NOT NULL,
    user_id         text        COLLATE "C" CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    session_id      text        COLLATE "C" CHECK (octet_length(session_id) BETWEEN 1 AND 255),
    erasure_id      uuid,
    data            jsonb,
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    stream_sequence bigint,      -- where JetStream keeps the message; NULL until it was published
    removed_at      timestamptz  -- when the message was deleted there, because its user was erased
);
CREATE INDEX events_user_id ON events (user_id);
CREATE INDEX events_erasure_id ON events (erasure_id) WHERE erasure_id IS NOT NULL;
CREATE INDEX events_recorded_at ON events (recorded_at);

-- Keys are hashes (pkg/authn RevocationKey), never IDs. The bucket in NATS is a
-- projection of this table: pending rows are still to be put there.
CREATE TABLE revocations (
    kind         text        NOT NULL CHECK (kind IN ('jti', 'sid', 'user', 'client', 'block')),
    key          bytea       NOT NULL CHECK (octet_length(key) = 16),
    revoked_at   timestamptz NOT NULL,
    causes       text[]      NOT NULL, -- empty: lifted
    expires_at   timestamptz,          -- NULL: until it is lifted
    pending      boolean     NOT NULL DEFAULT true,
    projected_at timestamptz,
    PRIMARY KEY (kind, key)
);
CREATE INDEX revocations_pending ON revocations (revoked_at) WHERE pending;
CREATE INDEX revocations_expires_at ON revocations (expires_at);

-- What the relay knows of the bucket that it projects into.
CREATE TABLE projections (
    bucket     text        PRIMARY KEY,
    created_at timestamptz NOT NULL
);

-- The registry: who must answer erasures, and from when on.
CREATE TABLE participants (
    name       text        PRIMARY KEY,
    since      timestamptz NOT NULL,
    retired_at timestamptz
);

-- user_id holds "erased:<id>" once the erasure is complete; user_hash is
-- HMAC-SHA256 under the tombstone key that hash_key_id names.
CREATE TABLE erasures (
    id           uuid        PRIMARY KEY,
    user_id      text        COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    user_hash    bytea       NOT NULL CHECK (octet_length(user_hash) = 32),
    hash_key_id  text        NOT NULL,
    source       text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('held', 'grace', 'requested', 'complete')),
    opened_at    timestamptz NOT NULL,
    grace_until  timestamptz NOT NULL,
    requested_at timestamptz,
    due_at       timestamptz,
    completed_at timestamptz,
    certificate  json
);
CREATE UNIQUE INDEX erasures_one_open_per_user ON erasures (user_id) WHERE state <> 'complete';
CREATE INDEX erasures_open ON erasures (state, grace_until) WHERE state <> 'complete';
CREATE INDEX erasures_source_opened_at ON erasures (source, opened_at);
CREATE INDEX erasures_user_hash ON erasures (user_hash);

CREATE TABLE erasure_participants (
    erasure_id  uuid NOT NULL REFERENCES erasures (id),
    participant text NOT NULL,
    receipt     json,
    answered_at timestamptz,
    PRIMARY KEY (erasure_id, participant)
);

-- Users whom the identity provider must be asked about, because what a webhook
-- said of them cannot be put in order.
CREATE TABLE rereads (
    user_id  text        COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    due_at   timestamptz NOT NULL,
    attempts integer     NOT NULL DEFAULT 0
);
CREATE INDEX rereads_due_at ON rereads (due_at);

-- Users whom a participant holds and the identity provider did not know when it
-- was first asked about them alone.
CREATE TABLE reconciliation_missing (
    user_id            text        COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    first_not_found_at timestamptz NOT NULL
);

CREATE TABLE reconciliations (
    id          uuid        PRIMARY KEY,
    state       text        NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    listed      bigint,     -- users that the identity provider listed, for the next run's comparison
    result      json        NOT NULL
);
CREATE INDEX reconciliations_started_at ON reconciliations (started_at);

-- +goose Down
DROP TABLE reconciliations, reconciliation_missing, rereads, erasure_participants, erasures, participants,
    projections, revocations, events, deliveries, version_counter;
