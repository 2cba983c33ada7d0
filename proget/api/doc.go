// Package api is ProGet's native JSON API below /api/, as far as it is needed to list,
// fetch and manage versions, and to manage feeds, storages and keys. docs/native-api.md
// tells which calls there are, and how they differ from ProGet's. Packages are not
// audited, promoted or repackaged, and what ProGet calls their metadata is not told.
//
// An error is answered as text: a sentence that tells what to do. A field that this
// server does not know is refused by its name.
package api
