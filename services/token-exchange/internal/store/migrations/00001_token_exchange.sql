-- +goose Up
-- A client's registration. spec is api.ClientSpec without its ID.
CREATE TABLE clients (
    id           text        NOT NULL PRIMARY KEY,
    spec         jsonb       NOT NULL,
    source       text        NOT NULL,
    blocked      boolean     NOT NULL DEFAULT false,
    block_reason text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT clients_id_form CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT clients_source_known CHECK (source IN ('file', 'api'))
);

-- hash is HMAC-SHA256 of the whole key under the key-hash key that hash_key_id
-- names, which lies outside the database.
CREATE TABLE api_keys (
    id           text        NOT NULL PRIMARY KEY,
    client_id    text        NOT NULL REFERENCES clients (id),
    hash         bytea       NOT NULL,
    hash_key_id  text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_hash_length CHECK (octet_length(hash) = 32)
);
CREATE INDEX api_keys_client_id ON api_keys (client_id);

-- sealed is the private key under the key-encryption key that encryption_key_id
-- names, bound to kid. A key is published from created_at, signs from
-- activates_at until the next one does, and is removed after the retention.
CREATE TABLE signing_keys (
    kid               text        NOT NULL PRIMARY KEY,
    algorithm         text        NOT NULL,
    public_jwk        jsonb       NOT NULL,
    sealed            bytea       NOT NULL,
    encryption_key_id text        NOT NULL,
    created_at        timestamptz NOT NULL,
    activates_at      timestamptz NOT NULL
);

-- Users who get no token. user_hash is a keyed hash: the table names nobody and
-- outlives an erasure, because an old id_token does too.
CREATE TABLE blocks (
    user_hash   bytea       NOT NULL,
    kind        text        NOT NULL,
    hash_key_id text        NOT NULL,
    version     numeric(20) NOT NULL,
    lifted      boolean     NOT NULL DEFAULT false,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_hash, kind),
    CONSTRAINT blocks_hash_length CHECK (octet_length(user_hash) = 32),
    CONSTRAINT blocks_kind_known CHECK (kind IN ('deleted', 'banned'))
);

-- Projection of the identity provider's grants to users. A revoked grant stays
-- as a row, so that a late event of lower version cannot bring it back.
CREATE TABLE user_grants (
    user_id     text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    entity_type text        NOT NULL,
    entity_id   text        NOT NULL, -- '' or '*': every entity of the type
    relation    text        NOT NULL,
    conditional boolean     NOT NULL DEFAULT false,
    revoked     boolean     NOT NULL DEFAULT false,
    version     numeric(20) NOT NULL,
    PRIMARY KEY (user_id, entity_type, entity_id, relation)
);

-- One row per attempt to get a token. Hashes of tokens, never tokens.
CREATE TABLE audit (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                 timestamptz NOT NULL,
    grant_type         text        NOT NULL,
    granted            boolean     NOT NULL,
    reason             text        NOT NULL DEFAULT '',
    client_id          text        NOT NULL DEFAULT '',
    key_id             text        NOT NULL DEFAULT '',
    user_id            text COLLATE "C" CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    audience           text[]      NOT NULL DEFAULT '{}',
    scope              text        NOT NULL DEFAULT '',
    token_id           text        NOT NULL DEFAULT '',
    token_hash         bytea,
    subject_token_hash bytea,
    address            text        NOT NULL DEFAULT ''
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_user_id ON audit (user_id) WHERE user_id IS NOT NULL;

-- What an operator changed.
CREATE TABLE changes (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    actor     text        NOT NULL,
    action    text        NOT NULL,
    client_id text        NOT NULL,
    key_id    text        NOT NULL DEFAULT ''
);

-- +goose Down
DROP TABLE changes;
DROP TABLE audit;
DROP TABLE user_grants;
DROP TABLE blocks;
DROP TABLE signing_keys;
DROP TABLE api_keys;
DROP TABLE clients;
