package sqlserver

import (
	mssql "github.com/microsoft/go-mssqldb"

	"github.com/proget-go/ha/db/driver"
)

// numbers maps the server's error numbers to what the store does about them. The texts
// are those of sys.messages, shortened. Sources:
//
//	[E] Microsoft Learn, "Database engine events and errors", by number
//	[C] Microsoft.Data.SqlClient, SqlConfigurableRetryFactory, its list of transient errors
//	[A] Microsoft Learn, "Troubleshoot common connection issues to Azure SQL Database"
var numbers = map[int32]driver.Kind{
	2601: driver.Unique, // [E] duplicate key row in a unique index
	2627: driver.Unique, // [E] violation of a unique constraint

	547: driver.ForeignKey, // [E] conflict with a foreign key or check constraint

	1204:  driver.Retry, // [C] no lock resources
	1205:  driver.Retry, // [C] deadlock victim
	1222:  driver.Retry, // [C] lock timeout
	3960:  driver.Retry, // [E] snapshot: the row was changed since
	3961:  driver.Retry, // [E] snapshot: the schema was changed since
	41301: driver.Retry, // [E] memory-optimized: a dependency was aborted
	41302: driver.Retry, // [E] memory-optimized: the row was changed since
	41305: driver.Retry, // [E] memory-optimized: repeatable read
	41325: driver.Retry, // [E] memory-optimized: serializable
	41839: driver.Retry, // [E] memory-optimized: too many dependencies
	50408: driver.Retry, // our own, raised by LockMigrations, because sp_getapplock reports failure by a return code

	20:    driver.Unavailable, // [C] the instance does not do encryption: seen while it starts
	64:    driver.Unavailable, // [C] the connection broke during login
	121:   driver.Unavailable, // [C] semaphore timeout
	233:   driver.Unavailable, // [C] nobody at the other end of the pipe
	596:   driver.Unavailable, // [E] the session is in the kill state
	997:   driver.Unavailable, // [C] overlapped I/O is in progress
	3902:  driver.Unavailable, // [E] COMMIT without a transaction: it ended with its connection
	3903:  driver.Unavailable, // [E] ROLLBACK without a transaction
	10053: driver.Unavailable, // [C] transport-level error
	10054: driver.Unavailable, // [C] reset by the server
	10060: driver.Unavailable, // [C] no answer
	10928: driver.Unavailable, // [C] limit of workers or sessions
	10929: driver.Unavailable, // [C] too busy for more than the guaranteed share

	4060:  driver.Unavailable, // [C] cannot open the database
	4221:  driver.Unavailable, // [C] login to a secondary waits for its versions
	18401: driver.Unavailable, // [E] script upgrade: administrators only
	40143: driver.Unavailable, // [C] the service met an error
	40166: driver.Unavailable, // [A] reconfiguration
	40197: driver.Unavailable, // [C] reconfiguration, or a failover
	40501: driver.Unavailable, // [C] the service is busy
	40540: driver.Unavailable, // [C] the transaction was ended by the service
	40613: driver.Unavailable, // [C] the database is not available now
	42108: driver.Unavailable, // [A] the pool is paused
	42109: driver.Unavailable, // [A] the pool is being resumed
	49918: driver.Unavailable, // [A] not enough resources
	49919: driver.Unavailable, // [A] too many operations under way
	49920: driver.Unavailable, // [A] too many operations under way for the subscription

	// A failover is under way, or this is not the primary.
	922:   driver.Unavailable, // [E] the database is being recovered
	927:   driver.Unavailable, // [E] the database is being restored
	954:   driver.Unavailable, // [E] it is acting as a mirror
	955:   driver.Unavailable, // [E] mirroring has no quorum
	976:   driver.Unavailable, // [E] availability group: not accessible for queries
	978:   driver.Unavailable, // [E] availability group: read-intent connections only
	979:   driver.Unavailable, // [E] availability group: not accessible for read-intent
	982:   driver.Unavailable, // [E] availability group: no readable secondary
	983:   driver.Unavailable, // [E] availability group: neither primary nor secondary now
	988:   driver.Unavailable, // [E] availability group: no quorum
	1404:  driver.Unavailable, // [E] mirroring: the database is busy
	1418:  driver.Unavailable, // [E] mirroring: the partner cannot be reached
	3906:  driver.Unavailable, // [E] the database is read-only: a former primary
	3908:  driver.Unavailable, // [E] the database is in emergency or recovery mode
	6005:  driver.Unavailable, // [E] shutdown in progress
	35250: driver.Unavailable, // [E] availability group: the primary's connection is not active
	17142: driver.Unavailable, // [E] paused
	17143: driver.Unavailable, // [E] shutting down
	17147: driver.Unavailable, // [E] the service is shutting down
	17148: driver.Unavailable, // [E] shutdown begun by another

	229:  driver.Denied, // [E] permission denied on an object
	262:  driver.Denied, // [E] permission denied in the database
	1088: driver.Denied, // [E] the object does not exist, or permission is missing
	2760: driver.Denied, // [E] the schema does not exist, or permission is missing

	1101:  driver.Full, // [E] no page can be allocated
	1105:  driver.Full, // [E] no space in the filegroup
	9002:  driver.Full, // [E] the transaction log is full
	40544: driver.Full, // [A] the database has reached its size
}

// recovering are the states of error 18456, login failed, that do not mean a wrong
// password: the database cannot be found or opened, for instance while it is recovered
// or restored [E: MSSQLSERVER_18456].
var recovering = map[uint8]bool{38: true, 40: true, 46: true}

func classify(e mssql.Error) driver.Kind {
	if e.Number == 18456 && recovering[e.State] {
		return driver.Unavailable
	}
	return numbers[e.Number] // Other if it is not there
}
