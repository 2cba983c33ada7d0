// Package admin makes the changes that administrators make: of feeds, API keys,
// users and permissions. The pages and the native API ask it; who may ask is
// their business.
//
// Each change is one of the system feed, so that it is in force on every node
// before that node answers its next request.
package admin
