-- +goose Up
-- What was erased when its retention had ended. It names no user.
CREATE TABLE participant_retention_receipts (
    message_id text        NOT NULL PRIMARY KEY,
    erasure_id text        NOT NULL,
    receipt    json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE participant_retention_receipts;
