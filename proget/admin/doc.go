// Package admin makes the changes that administrators make: to feeds, API keys, users
// and permissions. The pages and the native API call it; they check permissions.
//
// Each change is recorded in the system feed's log, so that every node applies it
// before it answers its next request.
package admin
