-- Back to the users table alone. Nothing is lost: until step 4 every write has
-- gone to the old columns too.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';
\ir dual_write.drop.sql
DROP TABLE preferences;
ALTER TABLE tickets DROP COLUMN author_user_id, DROP COLUMN assignee_user_id;
ALTER TABLE comments DROP COLUMN author_user_id;
COMMIT;
