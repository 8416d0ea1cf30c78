DROP VIEW adopt_problems;
DROP TRIGGER adopt_user ON users;
DROP TRIGGER adopt_ticket ON tickets;
DROP TRIGGER adopt_comment ON comments;
DROP FUNCTION adopt_user();
DROP FUNCTION adopt_ticket();
DROP FUNCTION adopt_comment();
