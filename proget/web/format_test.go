package web

import (
	"html/template"
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

// FuzzMarkdown: no text makes a page long.
func FuzzMarkdown(f *testing.F) {
	for _, text := range []string{"# a\n\n*b* **c** ~~d~~ `e` https://f.example", "|a|b|\n|-|:-|\n|`\\|`|\n", "> - > 1. [x] a\n\n![a](b \"c\") [d]\n\n[d]: e 'f'", "<!-- a"} {
		f.Add(text, uint16(1))
		f.Add(text, uint16(1000))
	}
	f.Fuzz(func(t *testing.T, text string, times uint16) {
		text = strings.Repeat(text, min(int(times), 1+maxMarkdown/(len(text)+1)))
		for _, html := range []template.HTML{markdown(text, sourceOf("github:acme/core")), description(text, source{})} {
			if len(html) > max(maxRendered, 6*maxMarkdown) {
				t.Fatalf("%d bytes are rendered as %d", len(text), len(html))
			}
		}
	})
}

func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	const readme = "[a](docs/a.md) [b](/LICENSE) [c](#use) [d](../../issues) [e](https://e.example/x) ![f](f.png) [g](//h.example/g) [*h*![i](i.png)](x.md)"
	for from, want := range map[source]string{
		sourceOf("git+https://github.com/acme/core.git"): `<p><a href="https://github.com/acme/core/blob/HEAD/docs/a.md" rel="R">a</a> ` +
			`<a href="https://github.com/acme/core/blob/HEAD/LICENSE" rel="R">b</a> <a href="https://github.com/acme/core#use" rel="R">c</a> ` +
			`<a href="https://github.com/acme/core/issues" rel="R">d</a> <a href="https://e.example/x" rel="R">e</a> ` +
			`<img src="https://github.com/acme/core/raw/HEAD/f.png" alt="f" loading="lazy"> <a href="//h.example/g" rel="R">g</a> ` +
			`<a href="https://github.com/acme/core/blob/HEAD/x.md" rel="R"><em>h</em><img src="https://github.com/acme/core/raw/HEAD/i.png" alt="i" loading="lazy"></a></p>`,
		sourceOf("", "https://acme.example/core"): `<p>a b c d <a href="https://e.example/x" rel="R">e</a> f <a href="//h.example/g" rel="R">g</a> <em>h</em>i</p>`,
	} {
		html := markdown(readme, from)
		require.Equal(t, want, strings.TrimSpace(strings.ReplaceAll(string(html), "nofollow noopener", "R")))
	}
	for _, address := range []string{"github:acme/core", "https://www.GitHub.com/acme/core/", "ssh://git@github.com/acme/core.git"} {
		require.Equal(t, sourceOf("https://github.com/acme/core"), sourceOf(address), address)
	}
	require.Zero(t, sourceOf("javascript:github.com/a/b", "https://github.com/acme", "%%"))
}
