package web

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{-time.Hour: "just now", time.Second: "just now", 59 * time.Second: "59 seconds ago", time.Minute: "1 minute ago",
		25 * time.Hour: "1 day ago", 59 * 24 * time.Hour: "59 days ago", 100 * 24 * time.Hour: "3 months ago", 800 * 24 * time.Hour: "2 years ago"} {
		require.Equal(t, want, formatAgo(d))
	}
	require.Equal(t, "under 1 ms", formatSkew(-time.Microsecond))
	require.Equal(t, "-20 ms", formatSkew(-20*time.Millisecond))
	require.Equal(t, "+1.5 s", formatSkew(1500*time.Millisecond))
	require.Equal(t, "0.4 s ago", formatAge(400*time.Millisecond))
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b", excerpt(" a\n\n b ", 10))
	require.Equal(t, "one two…", excerpt("one two three", 10))
	long := excerpt(strings.Repeat("ä", 1000), 100)
	require.Equal(t, 101, utf8.RuneCountInString(long))
	require.True(t, utf8.ValidString(excerpt(strings.Repeat("x€", 900), 7)))
}

func TestMarkdownIsBounded(t *testing.T) {
	t.Parallel()
	html, err := markdown(strings.Repeat("[", 1<<20) + "€")
	require.NoError(t, err)
	require.Less(t, len(html), 1<<20)
}
