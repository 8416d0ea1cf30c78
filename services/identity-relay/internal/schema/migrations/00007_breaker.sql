-- +goose Up
-- How many erasures each source opened, and the relay opened again, by the minute:
-- counting the erasures of an hour for each new one took longer with each one.
CREATE TABLE erasure_breaker (
    source text        NOT NULL,
    minute timestamptz NOT NULL,
    opened bigint      NOT NULL,
    PRIMARY KEY (source, minute)
);
INSERT INTO erasure_breaker (source, minute, opened)
    SELECT source, date_trunc('minute', opened_at), count(*) FROM erasures WHERE opened_at > now() - interval '1 hour' GROUP BY 1, 2
    UNION ALL
    SELECT 'reopened', date_trunc('minute', reopened_at), count(*) FROM erasures WHERE reopened_at > now() - interval '1 hour' GROUP BY 1, 2;
DROP INDEX erasures_source_opened_at;

-- +goose Down
CREATE INDEX erasures_source_opened_at ON erasures (source, opened_at);
DROP TABLE erasure_breaker;
