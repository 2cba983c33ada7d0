-- oldest: 1

-- What is remembered of sign-ins with passwords, by what was counted: an account, a
-- client, or both together. Rows that have expired count for nothing.
CREATE TABLE sign_in (
    subject  TEXT COLLATE "C" PRIMARY KEY,
    failures BIGINT NOT NULL,
    changed  BIGINT NOT NULL,
    expires  BIGINT NOT NULL
);
CREATE INDEX sign_in_expires ON sign_in (expires);
