-- +goose Up
-- Rows wait here until JetStream has acknowledged them, then they are deleted.
-- Publishing goes by id, so a transaction that must stay behind another one
-- enqueues after it has taken the lock that orders the two.
CREATE TABLE mailbox_outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text        NOT NULL,
    subject    text        NOT NULL,
    header     jsonb       NOT NULL DEFAULT '{}',
    payload    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mailbox_outbox_message_id_once UNIQUE (message_id)
);

-- One row per message that a consumer has applied; it outlives every
-- redelivery and replay, and is then pruned by received_at.
CREATE TABLE mailbox_inbox (
    consumer    text        NOT NULL,
    message_id  text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX mailbox_inbox_received_at ON mailbox_inbox (received_at);

-- +goose Down
DROP TABLE mailbox_inbox;
DROP TABLE mailbox_outbox;
