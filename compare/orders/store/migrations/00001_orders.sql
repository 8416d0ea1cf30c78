-- +goose Up
-- As in services/orders, but user_id refers to a row: no order without a user, a
-- user's orders go with them, and another ID is one UPDATE.
CREATE TABLE orders (
    id               uuid        NOT NULL CONSTRAINT orders_pkey PRIMARY KEY,
    tenant_id        text        NOT NULL,
    user_id          text COLLATE "C" NOT NULL CONSTRAINT orders_user REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
    status           text        NOT NULL CONSTRAINT orders_status_known CHECK (status IN ('placed', 'paid', 'canceled', 'refunded')),
    currency         text        NOT NULL CONSTRAINT orders_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor      bigint      NOT NULL CONSTRAINT orders_total_range CHECK (total_minor BETWEEN 1 AND 1000000000000),
    invoice_id       uuid,
    invoice_version  bigint      NOT NULL DEFAULT 0,
    invoice_retry_at timestamptz NOT NULL,
    invoice_attempts integer     NOT NULL DEFAULT 0,
    version          bigint      NOT NULL CONSTRAINT orders_version_positive CHECK (version > 0),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
CREATE INDEX orders_of_user ON orders (user_id, tenant_id, id DESC);
CREATE INDEX orders_of_tenant ON orders (tenant_id, id DESC);
CREATE INDEX orders_without_invoice ON orders (invoice_retry_at) WHERE invoice_id IS NULL AND status = 'placed';

CREATE TABLE order_items (
    order_id         uuid    NOT NULL CONSTRAINT order_items_order REFERENCES orders (id) ON DELETE CASCADE,
    position         integer NOT NULL CONSTRAINT order_items_position_range CHECK (position BETWEEN 1 AND 100),
    sku              text    NOT NULL CONSTRAINT order_items_sku_form CHECK (sku ~ '^[A-Za-z0-9._-]{1,64}$'),
    quantity         bigint  NOT NULL CONSTRAINT order_items_quantity_range CHECK (quantity BETWEEN 1 AND 1000),
    unit_price_minor bigint  NOT NULL CONSTRAINT order_items_price_positive CHECK (unit_price_minor > 0),
    CONSTRAINT order_items_pkey PRIMARY KEY (order_id, position)
);

-- +goose Down
DROP TABLE order_items;
DROP TABLE orders;
