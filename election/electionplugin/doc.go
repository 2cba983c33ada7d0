// Package electionplugin lets a program of its own keep the leases: whoever has
// a coordination service that this module does not know writes an
// election.Driver, and a main that serves it. It is built and shipped apart from
// the server, in any language that speaks gRPC (see election.proto).
//
// Each server runs the program as a child process and speaks to it over a local
// socket, encrypted with certificates that both make at the start; see
// [github.com/hashicorp/go-plugin]. Of the server's
// environment, where its secrets are, the program gets what any program needs:
// where programs, the user's files and temporary ones are, language and time
// zone, and whom to trust for TLS. Its settings are its arguments and
// Options.Env.
//
// The driver in the program must keep leases where all servers' programs see
// them: each server has a process of its own. electiontest proves one, through
// the process.
//
// # Faults
//
// When the process ends, calls under way fail at once and the next one starts it
// again, at most once a second. A process that hangs makes calls end with their
// time; a leader then steps down before its lease can run out, and the other
// servers go on with theirs. A process whose server was killed ends by itself.
// Whatever happens, the fence guards what a leader does.
package electionplugin
