-- +goose Up
-- One row per creating call of a user. answer is what the call was answered,
-- replayed word for word; it holds no user ID. json, not jsonb: bytes are kept.
CREATE TABLE idempotency_keys (
    user_id      text COLLATE "C" NOT NULL
        CONSTRAINT idempotency_keys_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    tenant_id    text        NOT NULL,
    operation    text        NOT NULL,
    key          text        NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    request_hash bytea       NOT NULL CONSTRAINT idempotency_keys_hash_length CHECK (octet_length(request_hash) = 32),
    answer       json,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_once PRIMARY KEY (user_id, tenant_id, operation, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
