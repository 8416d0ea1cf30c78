-- Changes nothing. No row: step 4 may follow.
\set ON_ERROR_STOP on
SELECT problem, place, rows FROM adopt_problems ORDER BY problem, place;
