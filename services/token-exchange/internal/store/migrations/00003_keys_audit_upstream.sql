-- +goose Up
-- The key that took over from a rotated one.
ALTER TABLE api_keys ADD COLUMN replaced_by text REFERENCES api_keys (id);

-- A client's key at the upstream issuer, for broker mode. sealed is the key under
-- the key-encryption key that encryption_key_id names, bound to the client's ID.
CREATE TABLE upstream_keys (
    client_id         text        NOT NULL PRIMARY KEY REFERENCES clients (id),
    sealed            bytea       NOT NULL,
    encryption_key_id text        NOT NULL,
    version           bigint      NOT NULL DEFAULT 1,
    updated_at        timestamptz NOT NULL DEFAULT now()
);

-- Attempts that proved no key, counted instead of kept one by one. key_id is set
-- where a proven key was over its limit.
CREATE TABLE audit_refusals (
    minute  timestamptz NOT NULL,
    address text        NOT NULL,
    reason  text        NOT NULL,
    key_id  text        NOT NULL DEFAULT '',
    count   bigint      NOT NULL,
    PRIMARY KEY (minute, address, reason, key_id)
);

CREATE INDEX audit_client_id ON audit (client_id, id);
CREATE INDEX audit_token_hash ON audit (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX changes_client_id ON changes (client_id, id);

-- +goose Down
DROP INDEX changes_client_id;
DROP INDEX audit_token_hash;
DROP INDEX audit_client_id;
DROP TABLE audit_refusals;
DROP TABLE upstream_keys;
ALTER TABLE api_keys DROP COLUMN replaced_by;
