-- +goose Up
-- hash is HMAC-SHA256 of the user ID under the key that key_id names: it can
-- answer "was this user erased?" and cannot be turned back into the ID.
-- version is that of the identity event that set the state; lifted means readmitted.
CREATE TABLE participant_tombstones (
    hash       bytea       NOT NULL PRIMARY KEY,
    key_id     text        NOT NULL,
    erasure_id text        NOT NULL,
    version    bigint      NOT NULL,
    lifted     boolean     NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT participant_tombstones_hash_length CHECK (octet_length(hash) = 32)
);

-- What this service answered to each erasure. It names no user.
CREATE TABLE participant_receipts (
    erasure_id text        NOT NULL PRIMARY KEY,
    receipt    json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE participant_receipts;
DROP TABLE participant_tombstones;
