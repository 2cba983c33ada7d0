package electionplugin

import (
	"os"
	"slices"
	"strings"
)

// basics are the variables that any program may need. None holds a secret; addresses of
// proxies, which may have passwords, are not among them.
var basics = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERNAME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", // on Windows
}

// environment returns the basics of this process's environment.
func environment() (env []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=") // Windows ignores case
		if slices.Contains(basics, name) || strings.HasPrefix(name, "LC_") {
			env = append(env, v)
		}
	}
	return env
}
