// Package archivename judges the names of entries of archives that strangers send.
package archivename

import "strings"

// Local reports whether a name leads nowhere but into the folder that an archive is
// unpacked into, on any system: a backslash separates there, C: is a drive, and a NUL
// may end the name.
func Local(name string) bool {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || strings.Contains(name, "\x00") {
		return false
	}
	if len(name) > 1 && name[1] == ':' {
		return false // C:file
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, "..") && strings.Trim(part, ". ") == "" {
			return false // Windows takes "..  " for ".."
		}
	}
	return true
}
