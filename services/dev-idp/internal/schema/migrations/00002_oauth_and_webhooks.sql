-- +goose Up
-- One row per code, token or request that the OAuth library asks to be kept.
-- handle is the SHA-256 of the secret: whoever reads the table holds no token.
CREATE TABLE oauth_handles (
    kind         text NOT NULL CONSTRAINT oauth_handles_kind_known CHECK (kind IN ('code', 'access', 'refresh', 'pkce', 'openid')),
    handle       text NOT NULL,
    request_id   text NOT NULL,
    client_id    text NOT NULL,
    user_id      text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    active       boolean NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    request      jsonb NOT NULL,
    PRIMARY KEY (kind, handle)
);
CREATE INDEX oauth_handles_by_request ON oauth_handles (request_id);
CREATE INDEX oauth_handles_by_user ON oauth_handles (user_id);
CREATE INDEX oauth_handles_by_expiry ON oauth_handles (expires_at);

-- The fake upstream provider's own codes.
CREATE TABLE social_codes (
    handle       text PRIMARY KEY,
    redirect_uri text NOT NULL,
    challenge    text NOT NULL,
    profile      jsonb NOT NULL,
    expires_at   timestamptz NOT NULL
);

-- Deliveries that are still owed. A row goes when the receiver took it or when
-- the last retry failed, so that a deleted user leaves nothing here.
CREATE TABLE webhook_deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint     text NOT NULL,
    event_id     text NOT NULL,
    origin       text NOT NULL,
    event_type   text NOT NULL,
    timestamp_ms bigint NOT NULL,
    content_type text NOT NULL,
    body         bytea NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at);

-- +goose Down
DROP TABLE webhook_deliveries, social_codes, oauth_handles;
