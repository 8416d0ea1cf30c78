-- +goose Up
-- Staff list everybody's orders, newest first.
CREATE INDEX orders_of_tenant ON orders (tenant_id, id DESC);

-- +goose Down
DROP INDEX orders_of_tenant;
