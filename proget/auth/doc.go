// Package auth answers who a request is from and what they may do: API keys,
// passwords, session cookies and permissions.
//
// Nothing of it is kept on one node. A session is a cookie that every node
// can read, since all have the same [Keyring]; accounts, keys and permissions
// are read from the database and kept in memory until the system feed's log
// says that they have changed.
package auth
