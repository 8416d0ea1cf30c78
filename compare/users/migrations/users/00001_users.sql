-- +goose Up
-- The mirror: id is the token's sub, the rest is the provider's. updated_at is
-- the provider's time of the profile and guards against old news; it is the epoch
-- for a row that was made without one, so that any news fills it.
CREATE TABLE users (
    id         text COLLATE "C" NOT NULL CONSTRAINT users_pkey PRIMARY KEY
        CONSTRAINT users_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
    name       text        NOT NULL,
    email      text        NOT NULL,
    avatar_url text        NOT NULL,
    banned     boolean     NOT NULL,
    updated_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Webhooks that were applied: providers repeat them.
CREATE TABLE user_deliveries (
    id          text        NOT NULL CONSTRAINT user_deliveries_pkey PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX user_deliveries_received_at ON user_deliveries (received_at);

-- Who was deleted, as keyed hashes: neither a late webhook nor a live token may
-- bring them back.
CREATE TABLE user_tombstones (
    hash       bytea       NOT NULL CONSTRAINT user_tombstones_pkey PRIMARY KEY
        CONSTRAINT user_tombstones_hash_length CHECK (octet_length(hash) = 32),
    deleted_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE user_tombstones;
DROP TABLE user_deliveries;
DROP TABLE users;
