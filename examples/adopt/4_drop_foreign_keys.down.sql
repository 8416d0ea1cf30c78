-- Back to the foreign keys. Users who came meanwhile get a row, because a foreign
-- key wants one.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';
LOCK TABLE users, tickets, comments, preferences IN SHARE ROW EXCLUSIVE MODE;
\ir return_to_rows.sql
ALTER TABLE tickets
    ALTER COLUMN author_user_id DROP NOT NULL,
    ALTER COLUMN author_id SET NOT NULL,
    ADD CONSTRAINT tickets_author_fkey FOREIGN KEY (author_id) REFERENCES users (id),
    ADD CONSTRAINT tickets_assignee_fkey FOREIGN KEY (assignee_id) REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE comments
    ALTER COLUMN author_user_id DROP NOT NULL,
    ALTER COLUMN author_id SET NOT NULL,
    ADD CONSTRAINT comments_author_fkey FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE CASCADE;
COMMIT;
