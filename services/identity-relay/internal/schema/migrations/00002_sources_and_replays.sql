-- +goose Up
-- What sources were refused, by reason; never anything that they sent.
CREATE TABLE refusals (
    source  text        NOT NULL,
    reason  text        NOT NULL,
    count   bigint      NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (source, reason)
);

-- When an event was published again. It is then in the stream for as long as a
-- new one, so its row must stay as long, or an erasure could not find the message.
ALTER TABLE events ADD COLUMN replayed_at timestamptz;

-- Where the stream holds earlier messages of an event that was published again.
CREATE TABLE event_copies (
    event_id        uuid   NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    stream_sequence bigint NOT NULL,
    PRIMARY KEY (event_id, stream_sequence)
);

-- +goose Down
DROP TABLE event_copies;
ALTER TABLE events DROP COLUMN replayed_at;
DROP TABLE refusals;
