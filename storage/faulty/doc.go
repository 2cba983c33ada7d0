// Package faulty provides a bucket that fails on request: with an error at the nth call
// of an operation, with half of a write, by losing the answer of an operation that
// happened, by losing an object, or by not answering for a while. It is for tests of
// whatever uses storage.
//
//	faults := faulty.New(memblob.OpenBucket(nil))
//	store := storage.New(blob.NewBucket(faults), nil)
//	faults.Inject(faulty.Fault{Op: faulty.Write, Nth: 2, Err: faulty.ErrNoSpace})
//
// Without a fault it does what the bucket below does.
package faulty
