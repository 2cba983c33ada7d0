-- name: RenewLease
UPDATE lease SET expires = @now + @ttl WHERE office = @office AND fence = @fence AND term = @term AND expires > @now;

-- name: ReleaseLease
UPDATE lease SET expires = 0 WHERE office = @office AND fence = @fence AND term = @term;

-- name: CurrentLease
SELECT holder, address, fence, term, expires - @now FROM lease WHERE office = @office AND expires > @now;

-- name: RaiseFence
UPDATE office_fence SET fence = @fence, term = @term
WHERE office = @office AND (fence < @fence OR (fence = @fence AND term = @term));

-- name: FindFence
SELECT fence, term FROM office_fence WHERE office = @office;

-- name: InsertFence
INSERT INTO office_fence (office, fence, term) VALUES (@office, @fence, @term);

-- name: InsertTerm
INSERT INTO term (office, fence, holder, began, seen)
SELECT @office, @fence, @holder, @now, @now
WHERE NOT EXISTS (SELECT 1 FROM term t WHERE t.office = @office AND t.fence = @fence);

-- name: KeepTerm
UPDATE term SET seen = @now WHERE office = @office AND fence = @fence;

-- name: ListTerms
SELECT fence, holder, began, seen, @now FROM term WHERE office = @office AND seen > @now - @within ORDER BY fence;

-- name: DeleteOldTerms
DELETE FROM term WHERE seen < @now - @older_than;
