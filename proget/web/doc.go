// Package web makes the pages that people see: feeds, packages and, for administrators,
// the cluster. The pages are rendered on the server, work without JavaScript and keep
// no state on the node: any node answers any request.
//
// # A tour
//
// [New] turns a [Config] into [Pages], an http.Handler for all paths that neither feeds
// nor the API serve. The list of routes is in web.go. Each page has a file with its
// view, a plain struct, and a template of much the same name in templates/:
//
//	feeds.go           every feed that the visitor may see
//	feed.go            one feed: search, paging, its URL
//	folders.go         one folder of a feed whose packages are files
//	upload.go          upload a package
//	package.go         one version of a package; markdown.go renders its readme
//	change.go          list, unlist, deprecate, block and delete a version
//	deleted.go         deleted versions, which can be restored
//	signin.go          sign-in and sign-out
//	account.go         change one's own password
//	administration.go  modes, health, background jobs
//	jobs.go            scheduled jobs, and one job
//	cluster.go         Indexing Cluster Status; timeline.go draws its last hour
//	modes.go           load balancing and high availability
//	feedsettings.go    create, change and delete feeds
//	retention.go       the retention rules of a feed
//	storages.go        storages for feeds
//	keys.go            API keys
//	users.go           users and permissions; user.go is one user
//
// # The path of a request
//
// visit.go holds the one adapter between pages and HTTP. It refuses forms that other
// sites send, brings this process up to date with the database, authenticates the
// visitor and calls the page, which returns an error instead of writing one. A page is
// rendered into memory first, so that nobody sees half a page. If the database cannot
// be reached, pages are shown from memory with a banner that says so.
//
// What packages say about themselves is hostile until proven otherwise: html/template
// escapes it, Markdown is rendered without raw HTML, links lead to http, https and
// mailto only, and the Content-Security-Policy of pages allows only this package's own
// scripts and styles.
package web
