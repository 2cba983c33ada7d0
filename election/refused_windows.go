package election

import "golang.org/x/sys/windows"

// refused is what the kernel answers where nobody listens.
const refused = windows.WSAECONNREFUSED
