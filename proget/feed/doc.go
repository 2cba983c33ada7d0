// Package feed defines feed types. A [Type] is a plain value that says how names and
// versions are compared and how a package file is read, with a [Handler] for the
// protocol that its clients speak. A feed type knows neither the database nor storage:
// it receives [Services] and sees the rest of the server through them alone.
//
// # The path of a request
//
// The node finds the feed, brings its memory up to date with everything committed
// before the request arrived, authenticates the caller, calls [Handler.Operation] to
// learn what the request asks for, checks the permission that [Type.Operations] lists
// for that, and only then calls [Handler.ServeFeed]. A handler therefore cannot forget
// a permission check and need not handle staleness: whatever it reads through
// [Services] is at least as new as the request, or as new as the installation demands.
// Handlers return errors instead of writing them; the node logs them and answers in the
// type's own form through [Type.WriteError]. The node may repeat a request that was not
// found or not permitted, so a handler must return those errors before it writes.
//
// The interfaces here may still change between minor versions.
package feed
