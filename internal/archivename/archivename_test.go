package archivename_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/archivename"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "a/b", `a\b`, "./a", "a/./b/", ".a", "..a", "...x/[..y]", "a/B::C.3pm", "a b", "ä:b"} {
		require.True(t, archivename.Local(name), "%q", name)
	}
	for _, name := range []string{
		"/etc/passwd", `\x`, `\\server\share`, "//server/share", "../x", "a/../../x", "a/..", `a\..\x`, "..", "a/.. /x", "a/... ", "a/.. .",
		`C:\Windows\x`, "C:/x", "C:x", "c:", "a\x00b",
	} {
		require.False(t, archivename.Local(name), "%q", name)
	}
}
