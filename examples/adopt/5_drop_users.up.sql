-- The table goes, and with it every address and name. Only code that reads user
-- IDs alone may run now.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '5s';
\ir dual_write.drop.sql
ALTER TABLE tickets DROP COLUMN author_id, DROP COLUMN assignee_id;
ALTER TABLE comments DROP COLUMN author_id;
DROP TABLE users;
COMMIT;
