// Package node assembles a server: it turns a [Config] into a [Node], whose Handler
// serves feeds, pages and health and whose [Node.Run] does the background work of the
// node's roles. It is the only package that imports all the others.
//
//	n, err := node.New(ctx, node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: types})
//	…
//	go n.Run(ctx)
//	node.Serve(ctx, &http.Server{Handler: n.Handler()}, listener, grace)
//
// Any other way to serve n.Handler() works, too.
//
// A program creates feeds and keys, and starts retention, as the pages do:
//
//	err := n.Admin().CreateFeed(ctx, &proget.Feed{Name: "team", Type: "nuget", Active: true}, proget.Principal{User: "setup"})
//
// Any number of such nodes on the same database and storage form one server.
package node
