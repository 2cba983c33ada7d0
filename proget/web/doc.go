// Package web makes the pages that people see: feeds, packages and, for
// administrators, the cluster. They are rendered on the server, work without
// JavaScript and keep nothing on the node: any node answers any request.
//
// # A tour
//
// [New] turns a [Config] into an http.Handler for everything that no feed and
// no API takes. The list of routes is in web.go. Each page has a file of its
// own with its view, a plain struct, and a template of the same name in
// templates/:
//
//	feeds.go           every feed the visitor may see
//	feed.go            one feed: search, paging, its URL
//	package.go         one version of a package; markdown.go renders its readme
//	change.go          list, unlist and delete
//	signin.go          sign-in and sign-out
//	administration.go  modes, health, background jobs
//	cluster.go         Indexing Cluster Status
//	modes.go           load balancing and high availability
//	feedsettings.go    make, change and delete feeds
//	keys.go            API keys
//	users.go           users, and who may do what; user.go is one of them
//
// # A request's way
//
// visit.go holds the one adapter. It refuses forms that other sites send,
// brings this process up to date with the database, finds out who asks, and
// calls the page, which returns an error instead of writing one. A page is
// rendered into memory first, so nobody sees half of one. If the database
// cannot be reached, pages go on from memory under a banner that says so.
//
// What packages say about themselves is hostile until proven otherwise:
// html/template escapes it, Markdown is rendered without raw HTML, links lead
// to http and https alone, and the Content-Security-Policy of pages allows no
// script and no style but this package's own files.
package web
