-- name: FindSignIn
SELECT failures, @now - changed FROM sign_in WHERE subject = @subject AND expires > @now;

-- name: CountSignInFailure
UPDATE sign_in
SET failures = CASE WHEN expires > @now THEN failures + 1 ELSE 1 END, changed = @now, expires = @now + @kept
WHERE subject = @subject;

-- name: ResetSignIn
UPDATE sign_in SET failures = 0, changed = @now, expires = @now + @kept WHERE subject = @subject;

-- name: InsertSignIn
INSERT INTO sign_in (subject, failures, changed, expires) VALUES (@subject, @failures, @now, @now + @kept);

-- name: DeleteExpiredSignIns
DELETE FROM sign_in WHERE expires <= @now;
