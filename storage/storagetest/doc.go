// Package storagetest tests whether a bucket is fit for a [storage.Store]. The test of
// a backend calls [Run] with a function that opens an empty store:
//
//	func TestConformance(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) *storage.Store {
//			return storage.New(openBucket(t), nil)
//		})
//	}
//
// [RunFaults] then tests the backend with injected faults (package faulty): each call
// of each operation fails once, in each way.
//
// Each case gets its own store. Cases that list a whole store must not see other tests'
// objects, so a bucket of a real service needs a new prefix each time
// ([gocloud.dev/blob.PrefixedBucket]).
package storagetest
