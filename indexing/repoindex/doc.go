// Package repoindex keeps the files of repository indexes: documents that clients
// of a feed download, and which cannot be rendered from one package at the
// moment they are asked for.
//
// An index has generations. The files of the next one are stored first, as
// objects that nobody knows of; then one transaction enters them and makes the
// generation the present one, so that nobody sees half of it. Generations only
// move forward: a builder that is late finds that the one it started from is not
// the present one any more, and what it stored is swept as what nobody
// recorded. Files that have ended stay readable, to who began with their
// generation, until they are purged.
package repoindex
