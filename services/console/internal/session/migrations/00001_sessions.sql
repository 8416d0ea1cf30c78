-- +goose Up
-- A session is found by the hash of its cookie, so that a copy of this table
-- signs nobody in. The tokens are sealed with a key that is not in the database.
CREATE TABLE sessions (
    id         bytea       NOT NULL PRIMARY KEY,
    user_id    text        COLLATE "C" NOT NULL,
    tokens     bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_id_length CHECK (octet_length(id) = 32),
    CONSTRAINT sessions_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 255)
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- +goose Down
DROP TABLE sessions;
