package election

import "golang.org/x/sys/windows"

// refused is the error of dialing a port on which nobody listens.
const refused = windows.WSAECONNREFUSED
