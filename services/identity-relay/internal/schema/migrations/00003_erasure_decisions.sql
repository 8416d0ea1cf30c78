-- +goose Up
-- Users whose data must not be erased for the time being: by keyed hash, so that
-- a hold finds an erasure that is opened later. The reason is the operator's.
CREATE TABLE legal_holds (
    id          uuid        PRIMARY KEY,
    user_hash   bytea       NOT NULL CHECK (octet_length(user_hash) = 32),
    hash_key_id text        NOT NULL,
    reason      text        NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1000),
    placed_at   timestamptz NOT NULL,
    placed_by   text        NOT NULL,
    lifted_at   timestamptz,
    lifted_by   text
);
CREATE INDEX legal_holds_user_hash ON legal_holds (user_hash) WHERE lifted_at IS NULL;

-- A round is one time of asking: an erasure that was complete is opened again for
-- a participant that turns out to hold the user's data.
ALTER TABLE erasures DROP CONSTRAINT erasures_state_check;
ALTER TABLE erasures
    ADD CONSTRAINT erasures_state_known CHECK (state IN ('held', 'grace', 'requested', 'complete', 'withdrawn')),
    ADD COLUMN over_limit       boolean NOT NULL DEFAULT false, -- the breaker holds it
    ADD COLUMN hold_id          uuid REFERENCES legal_holds (id), -- a legal hold holds it
    ADD COLUMN checked_at       timestamptz, -- the identity provider was asked again at the end of the grace period
    ADD COLUMN next_check_at    timestamptz,
    ADD COLUMN withdrawn_at     timestamptz, -- the user was there after all
    ADD COLUMN readmitted_at    timestamptz, -- the user may be back
    ADD COLUMN round            integer NOT NULL DEFAULT 1,
    ADD COLUMN request_version  bigint  NOT NULL DEFAULT 0, -- of the event that began the round
    ADD COLUMN reopened_at      timestamptz,
    ADD COLUMN messages_deleted bigint  NOT NULL DEFAULT 0,
    ADD COLUMN edition          integer NOT NULL DEFAULT 0, -- of the certificate
    ADD COLUMN outdated         boolean NOT NULL DEFAULT false; -- the certificate lacks what came since
UPDATE erasures SET over_limit = true WHERE state = 'held';
UPDATE erasures SET edition = 1, messages_deleted = coalesce((certificate #>> '{stream,messages_deleted}')::bigint, 0)
    WHERE certificate IS NOT NULL;
CREATE INDEX erasures_outdated ON erasures (id) WHERE outdated;
CREATE INDEX erasures_hold_id ON erasures (hold_id) WHERE hold_id IS NOT NULL;

ALTER TABLE erasure_participants ADD COLUMN round integer NOT NULL DEFAULT 1;
ALTER TABLE erasure_participants DROP CONSTRAINT erasure_participants_pkey;
ALTER TABLE erasure_participants ADD PRIMARY KEY (erasure_id, round, participant);

-- What participants told after they had answered: the retention of rows ended.
CREATE TABLE erasure_retention_receipts (
    erasure_id  uuid        NOT NULL REFERENCES erasures (id),
    message_id  text        NOT NULL,
    participant text        NOT NULL,
    receipt     json        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (erasure_id, message_id)
);

-- What was decided about an erasure, and by whom.
CREATE TABLE erasure_decisions (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erasure_id uuid        NOT NULL REFERENCES erasures (id),
    decision   text        NOT NULL CHECK (decision IN ('held', 'released', 'withdrawn', 'asked_again', 'reopened', 'readmitted')),
    decided_by text        NOT NULL,
    reason     text        NOT NULL DEFAULT '' CHECK (octet_length(reason) <= 1000),
    decided_at timestamptz NOT NULL
);
CREATE INDEX erasure_decisions_erasure_id ON erasure_decisions (erasure_id);

-- +goose Down
DROP TABLE erasure_decisions, erasure_retention_receipts;
DELETE FROM erasure_participants WHERE round > 1;
ALTER TABLE erasure_participants DROP CONSTRAINT erasure_participants_pkey;
ALTER TABLE erasure_participants DROP COLUMN round, ADD PRIMARY KEY (erasure_id, participant);
DELETE FROM erasure_participants WHERE erasure_id IN (SELECT id FROM erasures WHERE state = 'withdrawn');
DELETE FROM erasures WHERE state = 'withdrawn';
ALTER TABLE erasures DROP CONSTRAINT erasures_state_known;
ALTER TABLE erasures
    ADD CONSTRAINT erasures_state_check CHECK (state IN ('held', 'grace', 'requested', 'complete')),
    DROP COLUMN over_limit, DROP COLUMN hold_id, DROP COLUMN checked_at, DROP COLUMN next_check_at, DROP COLUMN withdrawn_at,
    DROP COLUMN readmitted_at, DROP COLUMN round, DROP COLUMN request_version, DROP COLUMN reopened_at, DROP COLUMN messages_deleted,
    DROP COLUMN edition, DROP COLUMN outdated;
DROP TABLE legal_holds;
