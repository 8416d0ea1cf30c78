-- +goose Up
-- What a customer was charged in one month, computed from the invoices by the
-- nightly job and computed anew each night.
CREATE TABLE statements (
    user_id        text COLLATE "C" NOT NULL CONSTRAINT statements_user REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
    tenant_id      text        NOT NULL,
    month          date        NOT NULL CONSTRAINT statements_month_first_day CHECK (extract(day FROM month) = 1),
    currency       text        NOT NULL,
    invoices       bigint      NOT NULL,
    invoiced_minor bigint      NOT NULL,
    paid_minor     bigint      NOT NULL,
    refunded_minor bigint      NOT NULL,
    computed_at    timestamptz NOT NULL,
    CONSTRAINT statements_once PRIMARY KEY (user_id, tenant_id, month, currency)
);
CREATE INDEX invoices_created_at ON invoices (created_at);

-- +goose Down
DROP INDEX invoices_created_at;
DROP TABLE statements;
