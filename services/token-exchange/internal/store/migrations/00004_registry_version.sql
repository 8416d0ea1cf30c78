-- +goose Up
-- Which state of clients and keys is the newest. Replicas keep proven keys in
-- memory for as long as it stays the same. Triggers advance it, so that no change
-- can forget to, not even one by hand. They are deferred: the row is locked at the
-- end of a transaction alone, so versions are in the order of commits and two
-- changes never wait for each other in a circle.
CREATE TABLE registry_version (
    only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint  NOT NULL
);
INSERT INTO registry_version (version) VALUES (1);

-- +goose StatementBegin
CREATE FUNCTION advance_registry_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE registry_version SET version = version + 1;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER clients_advance_version AFTER UPDATE OR DELETE ON clients
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_registry_version();
-- Not last_used_at: it changes with every use, and nothing depends on it.
CREATE CONSTRAINT TRIGGER api_keys_advance_version AFTER UPDATE OF client_id, hash, hash_key_id, expires_at, revoked_at OR DELETE ON api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_registry_version();

-- +goose Down
DROP TRIGGER api_keys_advance_version ON api_keys;
DROP TRIGGER clients_advance_version ON clients;
DROP FUNCTION advance_registry_version();
DROP TABLE registry_version;
