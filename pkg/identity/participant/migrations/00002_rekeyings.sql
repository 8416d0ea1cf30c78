-- +goose Up
-- What this service answered to each rekeying. It names no user.
CREATE TABLE participant_rekeyings (
    rekey_id   text        NOT NULL PRIMARY KEY,
    receipt    json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE participant_rekeyings;
