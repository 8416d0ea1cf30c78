-- +goose Up
-- After a service's own tables: a deletion cascades in the order in which the
-- constraints were made, and everybody else locks the order before its key.
ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_user
    FOREIGN KEY (user_id) REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE;

-- +goose Down
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_user;
