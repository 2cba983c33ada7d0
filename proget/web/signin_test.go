package web

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReturnStaysOnThisSite(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/administration?x=1", safeReturn("/administration?x=1"))
	for _, foreign := range []string{"", "//evil.example", `/\evil.example`, "https://evil.example", "javascript:alert(1)", "/a\nb", "/sign-in"} {
		require.Equal(t, "/feeds", safeReturn(foreign), foreign)
	}
}

func TestMarkdownIsTame(t *testing.T) {
	t.Parallel()
	html, err := markdown("# Title\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1)) [b](https://example.org) ![c](data:text/html,x)")
	require.NoError(t, err)
	require.NotContains(t, html, "<script")
	require.NotContains(t, html, "javascript:")
	require.NotContains(t, html, "data:text/html")
	require.Contains(t, html, `href="https://example.org"`)
	require.Contains(t, html, "<h3")
}
