-- Columns for the user ID beside the foreign keys. Adding a column without a
-- default rewrites nothing; the lock is held for a moment.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';

ALTER TABLE tickets
    ADD COLUMN author_user_id text COLLATE "C" CHECK (octet_length(author_user_id) BETWEEN 1 AND 255),
    ADD COLUMN assignee_user_id text COLLATE "C" CHECK (octet_length(assignee_user_id) BETWEEN 1 AND 255);
ALTER TABLE comments
    ADD COLUMN author_user_id text COLLATE "C" CHECK (octet_length(author_user_id) BETWEEN 1 AND 255);

-- What the service itself decided about a user stays with the service. There is a
-- row where somebody changed the default, and none for anybody else: it is no copy
-- of the users.
CREATE TABLE preferences (
    user_id       text COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 255),
    weekly_digest boolean NOT NULL
);

\ir dual_write.sql
COMMIT;
