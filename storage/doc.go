// Package storage keeps the bytes that all servers share. A [Store] uses any bucket of
// [gocloud.dev/blob] and writes each object once, under a key that is never used again.
//
// # The tour
//
// [Open] takes a URL: "file:///srv/packages" for a folder that several machines mount
// (package share), "mem:" for tests, or that of an object store which main names in
// [Options] (packages storage/s3, storage/azure and storage/gcs). [Store.Put] streams
// and hashes an upload; the caller then records the [Blob] in its database, and only
// that makes the object count. [Store.OpenBlob] streams it back: the kernel sends it if
// it is a file; otherwise OpenBlob verifies it. [Store.ReaderAt] gives random access
// for archives, and [Store.SignedURL] lets a client fetch the object directly.
// [Store.Delete], [Store.List] and [Store.RemoveLeftovers] are for garbage collection
// only.
//
// A [Probe] shows whether two servers really see the same storage.
//
// # What a caller can rely on
//
// An object is visible only when it is complete and durable. Nothing ever replaces an
// object, so a late or repeated call does no harm, and no locks are needed. A failed
// upload leaves nothing behind; if the process dies, no record names what it leaves,
// and a sweep removes it.
//
// Errors match [proget.ErrNotFound], [proget.ErrTooLarge], [proget.ErrInvalid],
// [proget.ErrNoSpace] or [proget.ErrUnavailable] where the caller can act on them;
// their messages name no path, host or bucket.
package storage
