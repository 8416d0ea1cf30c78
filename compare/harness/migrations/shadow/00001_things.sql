-- +goose Up
-- What a further service of the shadow archetype has: rows of users, by a foreign key.
CREATE TABLE things (
    id      bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT things_pkey PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL CONSTRAINT things_user REFERENCES users (id) ON DELETE CASCADE,
    body    text             NOT NULL
);
CREATE INDEX things_of_user ON things (user_id);

-- +goose Down
DROP TABLE things;
