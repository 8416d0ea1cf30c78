-- +goose Up
-- The newest version that a consumer has applied for a key, where the row that
-- it changes holds none. Pruned like the inbox, and at the key's erasure.
CREATE TABLE mailbox_versions (
    consumer   text        NOT NULL,
    scope      text        NOT NULL,
    key_hash   bytea       NOT NULL CHECK (octet_length(key_hash) = 32),
    version    bigint      NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, scope, key_hash)
);
CREATE INDEX mailbox_versions_key_hash ON mailbox_versions (key_hash);

-- +goose Down
DROP TABLE mailbox_versions;
