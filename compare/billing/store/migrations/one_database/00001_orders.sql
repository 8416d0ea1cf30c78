-- +goose Up
-- What only one database can promise: no invoice without its order. The order goes
-- with its user, the invoice stays.
ALTER TABLE invoices ALTER COLUMN order_id DROP NOT NULL;
ALTER TABLE invoices ADD CONSTRAINT invoices_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE SET NULL;

-- +goose Down
ALTER TABLE invoices DROP CONSTRAINT invoices_order;
