-- Rows from before step 1, a thousand in a transaction, so that no lock is held
-- for long. Run it as often as you like: it goes on where it stopped.
\set ON_ERROR_STOP on
DO $$
DECLARE
    changed bigint;
BEGIN
    LOOP
        WITH batch AS (
            SELECT t.id, author.idp_id AS author, assignee.idp_id AS assignee
            FROM tickets AS t
            JOIN users AS author ON author.id = t.author_id
            LEFT JOIN users AS assignee ON assignee.id = t.assignee_id
            WHERE t.author_user_id IS NULL AND author.idp_id IS NOT NULL
               OR t.assignee_user_id IS NULL AND assignee.idp_id IS NOT NULL
            ORDER BY t.id LIMIT 1000 FOR UPDATE OF t
        )
        UPDATE tickets AS t SET author_user_id = batch.author, assignee_user_id = batch.assignee
        FROM batch WHERE t.id = batch.id;
        GET DIAGNOSTICS changed = ROW_COUNT;
        COMMIT;
        EXIT WHEN changed = 0;
    END LOOP;
    LOOP
        WITH batch AS (
            SELECT c.id, author.idp_id AS author
            FROM comments AS c JOIN users AS author ON author.id = c.author_id
            WHERE c.author_user_id IS NULL AND author.idp_id IS NOT NULL
            ORDER BY c.id LIMIT 1000 FOR UPDATE OF c
        )
        UPDATE comments AS c SET author_user_id = batch.author FROM batch WHERE c.id = batch.id;
        GET DIAGNOSTICS changed = ROW_COUNT;
        COMMIT;
        EXIT WHEN changed = 0;
    END LOOP;
    INSERT INTO preferences (user_id, weekly_digest)
    SELECT idp_id, false FROM users WHERE NOT weekly_digest AND idp_id IS NOT NULL
    ON CONFLICT (user_id) DO NOTHING;
    COMMIT;
END $$;

-- What the new code looks for. CONCURRENTLY stops nobody's writes.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tickets_by_author ON tickets (author_user_id, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS tickets_by_assignee ON tickets (assignee_user_id, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS comments_by_author ON comments (author_user_id, id);
