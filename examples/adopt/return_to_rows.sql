-- A row for each user ID that has none. The address is a placeholder until the
-- user signs in again: the service does not know it, and must not invent it.
INSERT INTO users (idp_id, email, name, weekly_digest)
SELECT held.user_id, 'unknown-' || gen_random_uuid() || '@placeholder.invalid', '', coalesce(p.weekly_digest, true)
FROM (
    SELECT author_user_id AS user_id FROM tickets
    UNION SELECT assignee_user_id FROM tickets WHERE assignee_user_id IS NOT NULL
    UNION SELECT author_user_id FROM comments
    UNION SELECT user_id FROM preferences
) AS held LEFT JOIN preferences AS p USING (user_id)
ON CONFLICT (idp_id) DO NOTHING;

-- What was written without a foreign key, or erased since, follows the user ID.
UPDATE tickets AS t SET author_id = u.id FROM users AS u
WHERE u.idp_id = t.author_user_id AND t.author_id IS DISTINCT FROM u.id;
UPDATE tickets AS t SET assignee_id = (SELECT id FROM users WHERE idp_id = t.assignee_user_id)
WHERE t.assignee_id IS DISTINCT FROM (SELECT id FROM users WHERE idp_id = t.assignee_user_id);
UPDATE comments AS c SET author_id = u.id FROM users AS u
WHERE u.idp_id = c.author_user_id AND c.author_id IS DISTINCT FROM u.id;
UPDATE users AS u SET weekly_digest = NOT EXISTS (SELECT FROM preferences AS p WHERE p.user_id = u.idp_id AND NOT p.weekly_digest)
WHERE weekly_digest IS DISTINCT FROM NOT EXISTS (SELECT FROM preferences AS p WHERE p.user_id = u.idp_id AND NOT p.weekly_digest);
