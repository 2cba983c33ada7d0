// Package storagetest tells whether a bucket is fit for a [storage.Store]. The
// test of a backend calls [Run] with a function that opens an empty store:
//
//	func TestConformance(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) *storage.Store {
//			return storage.New(openBucket(t), nil)
//		})
//	}
//
// [RunFaults] then asks the same of a bucket that fails now and then, which it
// makes of the backend's own with package faulty: each call of each operation
// fails once, in each way.
//
// Each case gets a store of its own. Cases that need a whole store's listing
// must not see other tests' objects, so a bucket on a real service wants a
// fresh prefix each time ([gocloud.dev/blob.PrefixedBucket]).
package storagetest
