// Package repoindex keeps the files of repository indexes: documents that clients of a
// feed download, and that cannot be rendered from one package at the time of the
// request.
//
// An index has generations. The files of the next one are first stored as objects that
// the database does not know; then one transaction records them and makes that
// generation the present one, so that nobody sees half of it. Generations only move
// forward: a builder that is late finds that the generation it started from is no
// longer the present one, and its objects are swept as unrecorded ones. Files that have
// ended remain readable for clients that began with their generation, until they are
// purged.
package repoindex
