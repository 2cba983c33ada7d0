// Package faulty is a bucket that fails when it is told to: with an error at the
// nth call of an operation, with half of a write, with an answer that is lost
// although the operation happened, with an object that vanishes, or by not
// answering for a while. It is for tests of whatever works with storage.
//
//	faults := faulty.New(memblob.OpenBucket(nil))
//	store := storage.New(blob.NewBucket(faults), nil)
//	faults.Inject(faulty.Fault{Op: faulty.Write, Nth: 2, Err: faulty.ErrNoSpace})
//
// Without a fault it does what the bucket below does.
package faulty
