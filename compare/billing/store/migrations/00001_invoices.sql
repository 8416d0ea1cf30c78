-- +goose Up
-- As in services/billing, but user_id refers to a row. The books must be kept when
-- the user goes, and a foreign key cannot keep the ID of a row that is not there.
CREATE TABLE invoices (
    id             uuid        NOT NULL CONSTRAINT invoices_pkey PRIMARY KEY,
    order_id       uuid        NOT NULL,
    tenant_id      text        NOT NULL,
    user_id        text COLLATE "C" CONSTRAINT invoices_user REFERENCES users (id) ON UPDATE CASCADE ON DELETE SET NULL,
    status         text        NOT NULL CONSTRAINT invoices_status_known CHECK (status IN ('open', 'paid', 'void', 'refunded')),
    currency       text        NOT NULL CONSTRAINT invoices_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor   bigint      NOT NULL CONSTRAINT invoices_amount_range CHECK (amount_minor BETWEEN 1 AND 1000000000000),
    refunded_minor bigint      NOT NULL DEFAULT 0 CONSTRAINT invoices_refunded_range CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    version        bigint      NOT NULL CONSTRAINT invoices_version_positive CHECK (version > 0),
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT invoices_order_once UNIQUE (order_id),
    CONSTRAINT invoices_refunded_fits_status CHECK (
        CASE status WHEN 'refunded' THEN refunded_minor = amount_minor
                    WHEN 'paid' THEN refunded_minor < amount_minor
                    ELSE refunded_minor = 0 END)
);
CREATE INDEX invoices_of_user ON invoices (user_id, tenant_id, id DESC);

-- Orders that were canceled before they had an invoice: events overtake calls.
CREATE TABLE canceled_orders (
    order_id    uuid        NOT NULL CONSTRAINT canceled_orders_pkey PRIMARY KEY,
    canceled_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE canceled_orders;
DROP TABLE invoices;
