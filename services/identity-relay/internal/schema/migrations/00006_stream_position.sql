-- +goose Up
-- The last place in the stream that the relay knows of. Only the relay publishes
-- there, so a place that it skips holds a message whose acknowledgment was lost.
CREATE TABLE stream_position (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    sequence bigint  NOT NULL -- 0: none yet
);
INSERT INTO stream_position (sequence) SELECT coalesce(max(stream_sequence), 0) FROM events;

-- +goose Down
DROP TABLE stream_position;
