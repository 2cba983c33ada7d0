-- name: InsertJob
INSERT INTO job (kind, argument, run_key, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires,
                 done, total, remark, created, started, finished)
VALUES (@kind, @argument, @run_key, 'waiting', @priority, @now + @delay, 0, 0, @max_failures, '', 0,
        0, 0, '', @now, 0, 0);

-- name: InsertDueJob
INSERT INTO job (kind, argument, run_key, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires,
                 done, total, remark, created, started, finished)
SELECT @kind, @argument, @run_key, 'waiting', @priority, @now, 0, 0, @max_failures, '', 0, 0, 0, '', @now, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.run_key = @run_key)
  AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = @kind AND j.argument = @argument AND j.created > @now - @every);

-- name: BeatJob
UPDATE job SET claim_expires = @now + @ttl, done = @done, total = @total, remark = @message
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running';

-- name: FinishJob
UPDATE job
SET state = @state, remark = @message, run_key = NULL, done = @done, total = @total, finished = @now, claim_expires = 0
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running';

-- name: RetryJob
UPDATE job
SET state = 'waiting', remark = @message, run_after = @now + @delay, claim_expires = 0,
    failures = failures + @failed
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running';

-- name: ReleaseExpiredJobs
UPDATE job
SET state = CASE WHEN failures + 1 >= max_failures THEN 'failed' ELSE 'waiting' END,
    run_key = CASE WHEN failures + 1 >= max_failures THEN NULL ELSE run_key END,
    finished = CASE WHEN failures + 1 >= max_failures THEN @now ELSE 0 END,
    failures = failures + 1, remark = 'The worker stopped without a word.', claim_expires = 0
WHERE state = 'running' AND claim_expires < @now;

-- name: DeleteFinishedJobs
DELETE FROM job
WHERE finished > 0 AND finished < @now - @older_than
  AND job_id < 1000 + (SELECT MIN(j.job_id) FROM job j WHERE j.finished > 0 AND j.finished < @now - @older_than);
