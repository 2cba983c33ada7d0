// Package node puts the parts together: a [Config] becomes an http.Handler
// that serves feeds, pages and health, and a [Node.Run] that does what the
// node's roles ask for in the background. It is the only package that imports
// all the others.
//
//	n, err := node.New(ctx, node.Config{DB: store, Blobs: blobs, Keys: keys, Feeds: types})
//	…
//	go n.Run(ctx)
//	node.Serve(ctx, &http.Server{Handler: n.Handler()}, listener, grace)
//
// Any other way to serve n.Handler() works, too.
//
// A program makes feeds and keys, and starts retention, as the pages do:
//
//	err := n.Admin().CreateFeed(ctx, &proget.Feed{Name: "team", Type: "nuget", Active: true}, proget.Principal{User: "setup"})
//
// Any number of such nodes on the same database and storage are one server.
package node
