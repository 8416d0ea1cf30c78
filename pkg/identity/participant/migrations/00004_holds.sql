-- +goose Up
-- held: a legal hold was placed on the erased user; what is kept of them for a time
-- stays beyond it. held_version is that of the event that said so.
ALTER TABLE participant_tombstones
    ADD COLUMN held         boolean NOT NULL DEFAULT false,
    ADD COLUMN held_version bigint  NOT NULL DEFAULT 0;
CREATE INDEX participant_tombstones_erasure_id ON participant_tombstones (erasure_id);

-- +goose Down
DROP INDEX participant_tombstones_erasure_id;
ALTER TABLE participant_tombstones DROP COLUMN held, DROP COLUMN held_version;
