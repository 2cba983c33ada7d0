package storage

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysPassTheirCheck(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	made := new(keys)
	for range 1000 {
		key := made.newBlob()
		require.NoError(t, checkKey(key))
		require.False(t, seen[key])
		seen[key] = true
	}
	for _, node := range []string{"", "web-1", "Web 1", "nul", "../..", "ü☺", strings.Repeat("x", 1000)} {
		require.NoError(t, checkKey(newProbeKey(node)))
	}
}

// TestKeysAreNamesEverywhere: Windows and file servers refuse some names and
// change others, and count the length of the whole path.
func TestKeysAreNamesEverywhere(t *testing.T) {
	t.Parallel()
	made := new(keys)
	keys := []string{made.newBlob()}
	for range 1000 {
		keys = append(keys, made.newBlob())
	}
	for _, node := range []string{"", ".", "..", "con", "AUX", "nul.txt", "com1", "lpt9", "web.", "web ", " ", "a:b", `a\b`, "a~1", "ü☺", "\x00", strings.Repeat("x", 1000)} {
		keys = append(keys, newProbeKey(node))
	}
	reserved := regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9]|desktop\.ini|thumbs\.db)(\.|$)`)
	plain := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9-])?$`) // no upper case, no dots, no spaces
	for _, key := range keys {
		require.Less(t, len(key), 120, "room for the folder within Windows' 260 characters")
		for name := range strings.SplitSeq(key, "/") {
			require.Regexp(t, plain, name)
			require.NotRegexp(t, reserved, name)
		}
	}
}
