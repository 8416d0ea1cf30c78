-- For users who never signed in through the identity provider and never will:
-- what they wrote stays, under a pseudonym like an erasure's. Link those whom the
-- identity provider does know first (UPDATE users SET idp_id = … WHERE id = …),
-- by its word and not by an equal e-mail address that nobody has verified.
\set ON_ERROR_STOP on
UPDATE users SET idp_id = 'erased:' || gen_random_uuid() WHERE idp_id IS NULL;
