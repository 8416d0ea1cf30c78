-- From here on the user ID is the truth. Refused while step 3 finds anything: the
-- lock keeps writers out between the check and the change. On a large table add
-- CHECK (author_user_id IS NOT NULL) NOT VALID and validate it beforehand, then
-- SET NOT NULL reads no row.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';
LOCK TABLE users, tickets, comments, preferences IN SHARE ROW EXCLUSIVE MODE;
DO $$
DECLARE
    found text;
BEGIN
    SELECT string_agg(place || ': ' || problem || ' (' || rows || ')', ', ' ORDER BY place, problem) INTO found FROM adopt_problems;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'not yet: %', found;
    END IF;
END $$;
ALTER TABLE tickets
    DROP CONSTRAINT tickets_author_fkey,
    DROP CONSTRAINT tickets_assignee_fkey,
    ALTER COLUMN author_id DROP NOT NULL,
    ALTER COLUMN author_user_id SET NOT NULL;
ALTER TABLE comments
    DROP CONSTRAINT comments_author_fkey,
    ALTER COLUMN author_id DROP NOT NULL,
    ALTER COLUMN author_user_id SET NOT NULL;
COMMIT;
