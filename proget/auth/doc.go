// Package auth determines who sends a request and what they may do: API keys,
// passwords, session cookies and permissions.
//
// No state is kept on a single node. A session is a cookie that every node can read,
// because all have the same [Keyring]. Accounts, keys and permissions are read from the
// database and cached until the system feed's log says that they have changed.
package auth
