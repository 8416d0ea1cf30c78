-- While old and new code run side by side: whoever writes a foreign key writes the
-- user ID too, without knowing it, and adopt_problems says what does not fit yet.
-- An UPDATE that sets a user ID by itself (an erasure) is left alone.
CREATE FUNCTION adopt_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.author_user_id IS NULL OR TG_OP = 'UPDATE' AND NEW.author_id IS DISTINCT FROM OLD.author_id THEN
        NEW.author_user_id := coalesce((SELECT idp_id FROM users WHERE id = NEW.author_id), NEW.author_user_id);
    END IF;
    IF TG_OP = 'INSERT' AND NEW.assignee_user_id IS NULL OR TG_OP = 'UPDATE' AND NEW.assignee_id IS DISTINCT FROM OLD.assignee_id THEN
        NEW.assignee_user_id := (SELECT idp_id FROM users WHERE id = NEW.assignee_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER adopt_ticket BEFORE INSERT OR UPDATE OF author_id, assignee_id ON tickets
    FOR EACH ROW EXECUTE FUNCTION adopt_ticket();

CREATE FUNCTION adopt_comment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.author_user_id IS NULL OR TG_OP = 'UPDATE' AND NEW.author_id IS DISTINCT FROM OLD.author_id THEN
        NEW.author_user_id := coalesce((SELECT idp_id FROM users WHERE id = NEW.author_id), NEW.author_user_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER adopt_comment BEFORE INSERT OR UPDATE OF author_id ON comments
    FOR EACH ROW EXECUTE FUNCTION adopt_comment();

-- A user who gets an ID (the first sign-in) or another one, or changes a preference.
CREATE FUNCTION adopt_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.idp_id IS DISTINCT FROM OLD.idp_id THEN
        UPDATE tickets SET author_user_id = NEW.idp_id WHERE author_id = NEW.id;
        UPDATE tickets SET assignee_user_id = NEW.idp_id WHERE assignee_id = NEW.id;
        UPDATE comments SET author_user_id = NEW.idp_id WHERE author_id = NEW.id;
        DELETE FROM preferences WHERE user_id = OLD.idp_id;
    END IF;
    IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM preferences WHERE user_id = NEW.idp_id) THEN
        -- Somebody who came to the new code first: what they chose there stands.
        UPDATE users SET weekly_digest = p.weekly_digest FROM preferences AS p WHERE users.id = NEW.id AND p.user_id = NEW.idp_id;
    ELSIF NEW.weekly_digest THEN
        DELETE FROM preferences WHERE user_id = NEW.idp_id;
    ELSIF NEW.idp_id IS NOT NULL THEN
        INSERT INTO preferences (user_id, weekly_digest) VALUES (NEW.idp_id, false)
        ON CONFLICT (user_id) DO UPDATE SET weekly_digest = false;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER adopt_user AFTER INSERT OR UPDATE OF idp_id, weekly_digest ON users
    FOR EACH ROW EXECUTE FUNCTION adopt_user();

CREATE VIEW adopt_problems AS
SELECT problem, place, count(*) AS rows FROM (
    SELECT CASE WHEN u.idp_id IS NULL THEN 'the user has no ID at the identity provider'
                WHEN held.user_id IS NULL THEN 'not filled in yet'
                ELSE 'another user than the foreign key says' END AS problem, held.place
    FROM (
        SELECT 'tickets.author_user_id' AS place, author_id AS id, author_user_id AS user_id FROM tickets
        UNION ALL SELECT 'tickets.assignee_user_id', assignee_id, assignee_user_id FROM tickets
        UNION ALL SELECT 'comments.author_user_id', author_id, author_user_id FROM comments
    ) AS held JOIN users AS u ON u.id = held.id
    WHERE held.user_id IS DISTINCT FROM u.idp_id OR u.idp_id IS NULL
    UNION ALL
    SELECT 'not filled in yet', 'preferences.user_id'
    FROM users AS u WHERE NOT weekly_digest AND NOT EXISTS (SELECT FROM preferences AS p WHERE p.user_id = u.idp_id)
) AS found GROUP BY problem, place;
