// Package storage keeps the bytes that all servers share: a [Store] over any
// bucket of [gocloud.dev/blob], in which objects are written once, under a key
// that is never used again.
//
// # The tour
//
// [Open] takes a URL: "file:///srv/packages" for a folder that several machines
// mount (package share), "mem:" for tests, and those of the object stores that
// main names in [Options] (packages storage/s3, storage/azure and storage/gcs).
// [Store.Put] streams an upload and hashes it on the way; the caller then records
// the [Blob] in its database, and only that makes the object count.
// [Store.OpenBlob] streams it back, with the kernel's help where the object is a
// file, and checked where it is not; [Store.ReaderAt] gives random access for
// archives, and [Store.SignedURL] lets a client fetch it by itself.
// [Store.Delete], [Store.List] and [Store.RemoveLeftovers] serve garbage
// collection alone.
//
// A [Probe] shows whether two servers really see the same storage.
//
// # What a caller can rely on
//
// An object is visible when it is complete and durable, or not at all. Nothing
// ever replaces an object, so a late or repeated call cannot do harm, and no
// locks are needed. An upload that fails leaves nothing; if the process dies,
// what it leaves is named by nobody, and swept.
//
// Errors match [proget.ErrNotFound], [proget.ErrTooLarge], [proget.ErrInvalid],
// [proget.ErrNoSpace] or [proget.ErrUnavailable] where the caller can act on
// them; their messages name no path, host or bucket.
package storage
