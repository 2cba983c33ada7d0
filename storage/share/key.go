package share

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxNameLen is the longest name that all of the file systems allow.
const maxNameLen = 255

// fileName returns the path of a key's file below the root folder. It escapes nothing,
// and refuses a key that some system could not store unchanged, since any of them may
// mount the share.
func fileName(key string) (string, error) {
	for name := range strings.SplitSeq(key, "/") {
		if reason := badName(name); reason != "" {
			return "", fmt.Errorf("%w %q: %s", errKey, key, reason)
		}
	}
	return filepath.FromSlash(key), nil
}

// badName returns why name cannot be an element of a key, or "".
func badName(name string) string {
	switch {
	case name == "":
		return "an element is empty"
	case len(name) > maxNameLen:
		return "an element is too long"
	case strings.HasPrefix(name, "."):
		return "an element begins with a dot"
	case strings.HasSuffix(name, "."), strings.HasSuffix(name, " "):
		return "an element ends with a dot or a space"
	case !utf8.ValidString(name):
		return "it is not valid UTF-8"
	case strings.ContainsFunc(name, badRune):
		return "it contains a character that some file systems refuse"
	case isDevice(name):
		return "an element is the name of a Windows device"
	}
	return ""
}

func badRune(r rune) bool {
	return r < ' ' || r == 0x7f || strings.ContainsRune(`\<>:"|?*`, r)
}

// isDevice reports whether name, in any case and with any extension, is a device on
// Windows.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	port, ok := strings.CutPrefix(base, "com")
	if !ok {
		port, ok = strings.CutPrefix(base, "lpt")
	}
	return ok && len(port) == 1 && port[0] >= '0' && port[0] <= '9'
}
