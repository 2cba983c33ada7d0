// Package live keeps a node's search index in step with the feeds' logs, and answers
// searches from it.
//
// A new index begins with the cluster's snapshot, if there is one, or is built from the
// packages. From then on it applies the log's entries by reading the packages that they
// name. Each update records the position in the log and the operation there, by which a
// log that was replaced is noticed, as after a database was restored.
package live
