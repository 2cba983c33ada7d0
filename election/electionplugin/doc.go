// Package electionplugin lets a separate program keep the leases. To use a coordination
// service that this module does not know, write an election.Driver and a main that
// serves it. The program is built and shipped apart from the server, in any language
// that speaks gRPC (see election.proto).
//
// Each server runs the program as a child process and talks to it over a local socket,
// encrypted with certificates that both make at the start; see
// [github.com/hashicorp/go-plugin]. The server's environment may hold secrets, so the
// program gets only the variables that any program needs: the paths of programs, of the
// user's files and of temporary files, language and time zone, and the authorities to
// trust for TLS. Its settings are its arguments and Options.Env.
//
// The driver in the program must keep leases where all servers' programs see them,
// since each server has its own process. Package electiontest tests such a driver
// through the process.
//
// # Faults
//
// When the process ends, pending calls fail at once, and the next call restarts it, at
// most once a second. When the process hangs, calls end with their contexts; a leader
// then steps down before its lease can run out, and the other servers continue with
// their own processes. A process whose server was killed ends by itself. Whatever
// happens, the fence guards what a leader does.
package electionplugin
