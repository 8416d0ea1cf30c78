-- +goose Up
-- What a further service of the federated archetype has: rows under users' IDs.
CREATE TABLE things (
    id      bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT things_pkey PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL CONSTRAINT things_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    body    text             NOT NULL
);
CREATE INDEX things_of_user ON things (user_id);

-- +goose Down
DROP TABLE things;
