-- +goose Up
CREATE TABLE notes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    body       text             NOT NULL CHECK (octet_length(body) <= 4096),
    created_at timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX notes_user_id ON notes (user_id);

-- +goose Down
DROP TABLE notes;
