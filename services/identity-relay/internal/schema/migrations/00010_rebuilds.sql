-- +goose Up
-- Since when the bucket lacks what was put before: live rows that were projected
-- until then are put again. NULL: it lacks nothing.
ALTER TABLE projections ADD COLUMN rebuild_since timestamptz;

-- +goose Down
ALTER TABLE projections DROP COLUMN rebuild_since;
