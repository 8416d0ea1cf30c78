-- Back to a users table, beside user IDs that stay the truth: the state after step
-- 4. The table is there again (users_table.sql), with the dump's rows or without:
-- who has none gets a placeholder until the next sign-in.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';
-- A dump knows nothing of erasures that came after it. Who holds nothing here any
-- more must not come back with it; who is deleted by this for having held nothing
-- gets a row at the next sign-in.
DELETE FROM users WHERE idp_id IS NULL OR idp_id NOT IN (
    SELECT author_user_id FROM tickets
    UNION SELECT assignee_user_id FROM tickets WHERE assignee_user_id IS NOT NULL
    UNION SELECT author_user_id FROM comments
    UNION SELECT user_id FROM preferences
);
ALTER TABLE tickets ADD COLUMN author_id bigint, ADD COLUMN assignee_id bigint;
ALTER TABLE comments ADD COLUMN author_id bigint;
\ir return_to_rows.sql
\ir dual_write.sql
COMMIT;
