// Package api is ProGet's native JSON API below /api/, as far as needed to list, fetch
// and manage versions, and to manage feeds, storages and keys. docs/native-api.md lists
// the calls and their differences from ProGet's. There are no calls to audit, promote
// or repackage packages, or to read what ProGet calls their metadata.
//
// Error responses are plain text: a sentence that tells the client what to do. The API
// refuses a field that it does not know, by name.
package api
