-- oldest: 1

-- What is remembered of sign-ins with passwords, by what was counted: an account, a
-- client, or both together. Rows that have expired count for nothing.
CREATE TABLE sign_in (
    subject  TEXT    PRIMARY KEY,
    failures INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    expires  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_in_expires ON sign_in (expires);
