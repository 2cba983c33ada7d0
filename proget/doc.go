// Package proget defines the types that every other package uses: feeds, packages,
// versions, files, digests, jobs, fences, principals and the kinds of error. It imports
// only the standard library, knows no database, storage or protocol, and does nothing
// by itself.
//
// # The model
//
// A [Feed] is a named collection of packages of one type. A [Package] is a name within
// a feed, unique by the feed type's normal form; a [Version] is a version of it, unique
// likewise; a [File] is one file of a version, whose bytes are a blob in shared
// storage. Every change of a feed is an [Entry] in the feed's log, whose sequence
// numbers appear in commit order without gaps.
package proget
