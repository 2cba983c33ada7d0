// Package archivename checks the names of entries in archives that strangers send.
package archivename

import "strings"

// Local reports whether name stays inside the folder into which an archive is unpacked,
// on any system: on Windows a backslash is a separator and C: is a drive, and a NUL may
// end the name.
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
