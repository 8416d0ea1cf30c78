-- +goose Up
-- Audits of orphans: IDs that services hold and the identity provider does not
-- know. They live here so that another replica, or the same one after a restart,
-- goes on where the last one stopped, and so that erasures reach the IDs.
CREATE TABLE orphan_audits (
    id          uuid        PRIMARY KEY,
    state       text        NOT NULL CHECK (state IN ('running', 'stopped', 'finished')),
    phase       text        NOT NULL CHECK (phase IN ('holders', 'list', 'lookups', 'done')),
    partial     boolean     NOT NULL DEFAULT false, -- goes on without a participant that does not answer
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    listed      bigint      NOT NULL DEFAULT 0,
    looked_up   bigint      NOT NULL DEFAULT 0,
    problem     text        NOT NULL DEFAULT ''
);

CREATE TABLE orphan_audit_holders (
    audit_id uuid    NOT NULL REFERENCES orphan_audits (id) ON DELETE CASCADE,
    holder   text    NOT NULL,
    ids      bigint  NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT false,
    problem  text    NOT NULL DEFAULT '',
    PRIMARY KEY (audit_id, holder)
);

-- How many IDs and rows each column holds.
CREATE TABLE orphan_audit_columns (
    audit_id      uuid   NOT NULL REFERENCES orphan_audits (id) ON DELETE CASCADE,
    holder        text   NOT NULL,
    held_table    text   NOT NULL,
    held_column   text   NOT NULL,
    ids           bigint NOT NULL DEFAULT 0,
    held_rows     bigint NOT NULL DEFAULT 0,
    retained_ids  bigint NOT NULL DEFAULT 0, -- of erased users, kept for a legal reason
    foreign_ids   bigint NOT NULL DEFAULT 0, -- of another issuer's users
    PRIMARY KEY (audit_id, holder, held_table, held_column)
);

-- IDs that the list of users has not named so far. user_id is NULL for somebody
-- whom the relay has erased.
CREATE TABLE orphan_audit_ids (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    audit_id  uuid   NOT NULL REFERENCES orphan_audits (id) ON DELETE CASCADE,
    holder    text   NOT NULL,
    user_hash bytea  NOT NULL CHECK (octet_length(user_hash) = 32),
    user_id   text   COLLATE "C" CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    finding   text   NOT NULL CHECK (finding IN ('held', 'orphan', 'erasing', 'erased')),
    places    json   NOT NULL,
    UNIQUE (audit_id, holder, user_hash)
);
CREATE INDEX orphan_audit_ids_user_id ON orphan_audit_ids (user_id);

-- Who asked for an export, when, and what each participant delivered.
CREATE TABLE exports (
    id           uuid        PRIMARY KEY,
    user_hash    bytea       NOT NULL CHECK (octet_length(user_hash) = 32),
    hash_key_id  text        NOT NULL,
    requested_by text        NOT NULL,
    started_at   timestamptz NOT NULL
);
CREATE INDEX exports_user_hash ON exports (user_hash);

CREATE TABLE export_answers (
    export_id   uuid        NOT NULL REFERENCES exports (id),
    participant text        NOT NULL,
    pages       bigint      NOT NULL DEFAULT 0,
    row_count   bigint      NOT NULL DEFAULT 0,
    complete    boolean     NOT NULL DEFAULT false,
    answered_at timestamptz,
    PRIMARY KEY (export_id, participant)
);

-- Users who have another ID now. The IDs themselves stand in rekeying_users, and
-- only until every participant has answered.
CREATE TABLE rekeyings (
    id               uuid        PRIMARY KEY,
    old_hash         bytea       NOT NULL CHECK (octet_length(old_hash) = 32),
    new_hash         bytea       NOT NULL CHECK (octet_length(new_hash) = 32),
    hash_key_id      text        NOT NULL,
    requested_by     text        NOT NULL,
    state            text        NOT NULL CHECK (state IN ('requested', 'complete')),
    opened_at        timestamptz NOT NULL,
    due_at           timestamptz NOT NULL,
    completed_at     timestamptz,
    messages_deleted bigint      NOT NULL DEFAULT 0
);
CREATE INDEX rekeyings_old_hash ON rekeyings (old_hash);
CREATE INDEX rekeyings_open ON rekeyings (opened_at) WHERE state <> 'complete';

CREATE TABLE rekeying_users (
    rekeying_id uuid NOT NULL REFERENCES rekeyings (id),
    role        text NOT NULL CHECK (role IN ('old', 'new')),
    user_id     text COLLATE "C" NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    PRIMARY KEY (rekeying_id, role)
);
CREATE INDEX rekeying_users_user_id ON rekeying_users (user_id);

CREATE TABLE rekeying_participants (
    rekeying_id uuid NOT NULL REFERENCES rekeyings (id),
    participant text NOT NULL,
    receipt     json,
    answered_at timestamptz,
    PRIMARY KEY (rekeying_id, participant)
);

-- Messages about the old ID that are still to be deleted from the stream.
CREATE TABLE rekeying_messages (
    rekeying_id     uuid   NOT NULL REFERENCES rekeyings (id),
    event_id        uuid   NOT NULL,
    stream_sequence bigint NOT NULL,
    PRIMARY KEY (rekeying_id, event_id, stream_sequence)
);

-- +goose Down
DROP TABLE rekeying_messages, rekeying_participants, rekeying_users, rekeyings, export_answers, exports,
    orphan_audit_ids, orphan_audit_columns, orphan_audit_holders, orphan_audits;
