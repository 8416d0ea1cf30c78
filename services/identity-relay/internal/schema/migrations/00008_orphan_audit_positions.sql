-- +goose Up
-- The last user ID of what was read and counted of a service. It is never that of
-- somebody who was erased; without one the service is read from the beginning.
CREATE TABLE orphan_audit_positions (
    audit_id uuid NOT NULL,
    holder   text NOT NULL,
    user_id  text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    PRIMARY KEY (audit_id, holder),
    FOREIGN KEY (audit_id, holder) REFERENCES orphan_audit_holders ON DELETE CASCADE
);
CREATE INDEX orphan_audit_positions_user_id ON orphan_audit_positions (user_id);

-- +goose Down
DROP TABLE orphan_audit_positions;
