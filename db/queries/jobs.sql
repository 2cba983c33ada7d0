-- name: InsertJob
INSERT INTO job (kind, argument, lane, run_key, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires,
                 done, total, remark, queued_by, cancel, created, started, finished)
VALUES (@kind, @argument, @lane, @run_key, @state, @priority, @now + @delay, 0, 0, @max_failures, '', 0,
        0, 0, '', @queued_by, 0, @now, 0, 0);

-- name: InsertJobOnce
INSERT INTO job (kind, argument, lane, run_key, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires,
                 done, total, remark, queued_by, cancel, created, started, finished)
SELECT @kind, @argument, @lane, @run_key, @state, @priority, @now + @delay, 0, 0, @max_failures, '', 0, 0, 0, '', @queued_by, 0, @now, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.run_key = @run_key);

-- name: BeatJob
UPDATE job
SET claim_expires = @now + @ttl, done = @done, total = @total, remark = @message, started = CASE WHEN started = 0 THEN @now ELSE started END
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running' AND cancel = 0;

-- name: HoldJob
UPDATE job SET claim_expires = claim_expires
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running' AND cancel = 0;

-- name: FinishJob
UPDATE job
SET state = @state, remark = @message, run_key = NULL, done = @done, total = @total, finished = @now, claim_expires = 0
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running';

-- name: RetryJob
UPDATE job
SET state = CASE WHEN cancel = 1 THEN 'canceled' ELSE @state END,
    run_key = CASE WHEN cancel = 1 THEN NULL ELSE run_key END,
    finished = CASE WHEN cancel = 1 THEN @now ELSE 0 END,
    remark = @message, run_after = @now + @delay, claim_expires = 0, failures = failures + @failed
WHERE job_id = @job_id AND attempt = @attempt AND state = 'running';

-- name: CancelWaitingJob
UPDATE job SET state = 'canceled', remark = 'Canceled before it began.', run_key = NULL, finished = @now
WHERE job_id = @job_id AND state IN ('waiting', 'delayed');

-- name: CancelRunningJob
UPDATE job SET cancel = 1 WHERE job_id = @job_id AND state = 'running';

-- name: StopJob
UPDATE job SET cancel = 1 WHERE run_key = @run_key AND state = 'running';

-- name: ReleaseDelayedJobs
UPDATE job SET state = 'waiting' WHERE state = 'delayed' AND run_after <= @now;

-- name: ReleaseExpiredJobs
UPDATE job
SET state = CASE WHEN cancel = 1 THEN 'canceled' WHEN started > 0 AND failures + 1 >= max_failures THEN 'failed' ELSE 'waiting' END,
    run_key = CASE WHEN cancel = 1 OR started > 0 AND failures + 1 >= max_failures THEN NULL ELSE run_key END,
    finished = CASE WHEN cancel = 1 OR started > 0 AND failures + 1 >= max_failures THEN @now ELSE 0 END,
    failures = failures + CASE WHEN started > 0 THEN 1 ELSE 0 END,
    remark = CASE WHEN started > 0 THEN 'The server stopped without reporting a result.' ELSE 'The job could not be started.' END,
    claim_expires = 0
WHERE state = 'running' AND claim_expires < @now;

-- name: DeleteFinishedJobs
DELETE FROM job
WHERE finished > 0 AND finished < @now - @older_than
  AND job_id < 1000 + (SELECT MIN(j.job_id) FROM job j WHERE j.finished > 0 AND j.finished < @now - @older_than);

-- name: FindJob
SELECT job_id, kind, argument, state, attempt, failures, max_failures, worker, done, total, remark, queued_by, cancel, created, started, finished, @now
FROM job
WHERE job_id = @job_id;

-- name: FindLastJob
SELECT job_id, kind, argument, state, attempt, failures, max_failures, worker, done, total, remark, queued_by, cancel, created, started, finished, @now
FROM job
WHERE job_id = (SELECT MAX(j.job_id) FROM job j WHERE j.kind = @kind AND j.argument = @argument);

-- name: InsertJobLog
INSERT INTO job_log (job_id, attempt, part, logged, lines)
SELECT j.job_id, @attempt, @part, @now, @lines
FROM job j
WHERE j.job_id = @job_id;

-- name: JobLog
SELECT attempt, logged, lines FROM job_log WHERE job_id = @job_id ORDER BY attempt, part;

-- name: ListSchedule
SELECT name, expression, enabled, next_run FROM schedule;

-- name: InsertSchedule
INSERT INTO schedule (name, expression, enabled, next_run)
SELECT @name, @expression, @enabled, @next_run
WHERE NOT EXISTS (SELECT 1 FROM schedule s WHERE s.name = @name);

-- name: AdvanceSchedule
UPDATE schedule SET next_run = @next_run WHERE name = @name AND next_run = @due AND expression = @expression AND enabled = 1;

-- name: UpdateSchedule
UPDATE schedule SET expression = @expression, enabled = @enabled, next_run = @next_run WHERE name = @name;
