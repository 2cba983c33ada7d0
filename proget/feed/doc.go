// Package feed says what a feed type is. A [Type] is a plain value: how names
// and versions are compared, how a package file is read, and a [Handler] for
// the protocol its clients speak. A feed type knows neither the database nor
// storage: it is given [Services], and sees the rest of the server through
// those alone.
//
// # A request's way
//
// The node resolves the feed, brings this process up to date with everything
// that was committed before the request arrived, authenticates the caller,
// asks [Handler.Operation] what the request is for, checks the permission that
// [Type.Operations] names for that, and only then calls [Handler.ServeFeed]. A
// handler therefore cannot forget a permission check and need not think about staleness: whatever it reads
// through [Services] is at least as new as the request, or as new as the installation
// wants it. Errors are returned, not written; the node logs them and answers in the
// type's own form through [Type.WriteError]. What is not found or not permitted may be
// asked for again, so a handler returns that before it writes.
//
// The interfaces here may still change between minor versions.
package feed
