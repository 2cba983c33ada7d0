// Package upkeep keeps the database and storage consistent while publishers and readers
// continue to work.
//
// A [Collector] frees storage of what nothing refers to any longer: blobs of deleted
// versions after a grace period, objects whose upload was never recorded, and remains
// of killed processes. An [UploadCleaner] ends abandoned uploads. An [Inspector]
// rereads stored files, reports which versions are damaged, and mends them from another
// copy if there is one. A [Mover] copies a feed's files to the storage that was chosen
// for it. Each of these is an [indexing.Worker] that may be killed at any statement, or
// run late, without harm. [Compare] reports where database and storage differ.
package upkeep

// Lane is the lane of the jobs that read or delete much of storage. They wait for each
// other, and light jobs do not wait for them.
const Lane = "storage"
