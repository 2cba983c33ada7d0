// Package upkeep keeps the database and storage in agreement, while publishers
// and readers go on.
//
// A [Collector] frees the storage of what nothing refers to any more: blobs of
// deleted versions after a grace period, objects whose upload was never
// recorded, and what killed processes left behind. An [UploadCleaner] gives
// abandoned uploads up. An [Inspector] reads what is stored again, tells which
// versions are damaged, and mends them from another copy where there is one. A
// [Mover] copies a feed's files to the storage that was chosen for it. Each of
// them is an [indexing.Worker]; each can be killed at any statement, or come
// late, without harm. [Compare] tells where database and storage disagree.
package upkeep

// Lane is the lane of the jobs that read or delete much of what is stored. They
// wait for each other, and light jobs do not wait for them.
const Lane = "storage"
