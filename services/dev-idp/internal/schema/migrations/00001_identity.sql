-- +goose Up
-- The identity provider is the one place where users live; every other service
-- knows them by their opaque ID alone.
CREATE TABLE users (
    id               text PRIMARY KEY,
    name             text NOT NULL,
    email            text NOT NULL CONSTRAINT users_email_unique UNIQUE,
    email_verified   boolean NOT NULL,
    image            text,
    role             text NOT NULL,
    banned           boolean NOT NULL DEFAULT false,
    ban_reason       text,
    ban_expires      timestamptz,
    username         text CONSTRAINT users_username_unique UNIQUE,
    display_username text,
    password_hash    text,
    active_tenant    text NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT users_email_lower_case CHECK (email = lower(email))
);
CREATE INDEX users_by_age ON users (created_at, id);

CREATE TABLE linked_accounts (
    provider   text NOT NULL,
    account_id text NOT NULL,
    id         text NOT NULL,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (provider, account_id)
);
CREATE INDEX linked_accounts_by_user ON linked_accounts (user_id);

CREATE TABLE sessions (
    id              text PRIMARY KEY,
    token           text NOT NULL CONSTRAINT sessions_token_unique UNIQUE,
    user_id         text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    ip_address      text NOT NULL,
    user_agent      text NOT NULL,
    impersonated_by text
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE grants (
    tuple_id     text PRIMARY KEY,
    subject_type text NOT NULL CONSTRAINT grants_subject_type_known CHECK (subject_type IN ('user', 'group', 'apikey')),
    subject_id   text NOT NULL,
    entity_type  text NOT NULL,
    entity_id    text NOT NULL,
    relation     text NOT NULL,
    tenant_id    text NOT NULL,
    created_at   timestamptz NOT NULL
);
CREATE INDEX grants_by_subject ON grants (subject_type, subject_id);

CREATE TABLE group_members (
    group_id   text NOT NULL,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_by_user ON group_members (user_id);

CREATE TABLE api_keys (
    id          text PRIMARY KEY,
    key_hash    bytea NOT NULL CONSTRAINT api_keys_hash_unique UNIQUE,
    owner_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id   text,
    full_access boolean NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE signing_keys (
    id          text PRIMARY KEY,
    algorithm   text NOT NULL CONSTRAINT signing_keys_algorithm_known CHECK (algorithm IN ('RS256', 'EdDSA')),
    private_key bytea NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE instance_secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- +goose Down
DROP TABLE instance_secrets, signing_keys, api_keys, group_members, grants, sessions, linked_accounts, users;
