-- +goose Up
-- What identity events told of who has which relation to what. It answers an
-- administrator's questions and enforces nothing: tokens do. There is no tenant
-- in the key, because the events name none.
CREATE TABLE access (
    entity_type text             NOT NULL CHECK (octet_length(entity_type) BETWEEN 1 AND 255),
    entity_id   text             NOT NULL CHECK (octet_length(entity_id) <= 255),
    relation    text             NOT NULL CHECK (octet_length(relation) BETWEEN 1 AND 255),
    user_id     text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    held        boolean          NOT NULL,
    version     bigint           NOT NULL,
    PRIMARY KEY (entity_type, entity_id, relation, user_id)
);
CREATE INDEX access_user_id ON access (user_id);

-- +goose Down
DROP TABLE access;
