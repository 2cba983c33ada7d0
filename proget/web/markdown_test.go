package web_test

import (
	"fmt"
	"html"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
)

// hostile are texts whose rendering took minutes or gigabytes.
func hostile() map[string]string {
	fill := func(s string) string { return strings.Repeat(s, 256<<10/len(s)) }
	return map[string]string{
		"short rows":       strings.Repeat("|a", 10_000) + "\n" + strings.Repeat("|-", 10_000) + "\n" + fill("|\n"),
		"many tables":      fill("a|b\n-|-\nc\n\n"),
		"quotations":       fill("> "),
		"lists":            fill("- + "),
		"both":             fill("- > 1. "),
		"opened links":     fill("[a]("),
		"brackets":         fill("["),
		"images":           fill("!["),
		"closed brackets":  fill("[") + fill("]"),
		"emphasis":         fill("_a*"),
		"opened emphasis":  fill("*a "),
		"emphasis in line": fill("a**b_c"),
		"code":             fill("`a``"),
		"comments":         "a" + fill("<!--"),
		"addresses":        fill("_a@"),
		"escaped pipes":    "|a|\n|-|\n" + fill("|`\\|`|\n"),
		"long reference":   "[a]: <" + strings.Repeat("x", 30<<10) + ">\n\n" + fill("[a]\n\n"),
		"long title":       "[a]: /x '" + strings.Repeat("x", 30<<10) + "'\n\n" + fill("[a]\n\n"),
		"quotes":           fill(`"`),
		"indented lists":   deepList(),
	}
}

func deepList() string {
	var b strings.Builder
	for n := 0; b.Len() < 256<<10; n++ {
		b.WriteString(strings.Repeat(" ", 2*n) + "- a\n")
	}
	return b.String()
}

// TestHostileMarkdown: no text costs a page more than a bounded amount.
func TestHostileMarkdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	for name, text := range hostile() {
		w.publish(w.main, demoPackage{Name: name, Version: "1", Summary: feed.Summary{Description: text, Readme: text, Repository: "https://github.com/a/b"}})
		page := b.page("/feeds/main/package?name=" + strings.ReplaceAll(name, " ", "+"))
		require.Less(t, len(page), 2<<20+64<<10, name)
		require.LessOrEqual(t, strings.Count(page, "<td"), 2*20_000, name)
		for _, container := range []string{"<blockquote>", "<ul>"} {
			require.LessOrEqual(t, strings.Count(page, container), 2*64+8, name)
		}
		require.Equal(t, page, b.page("/feeds/main/package?name="+strings.ReplaceAll(name, " ", "+")), "it is kept")
	}
}

// TestMarks: what is beyond the bounds is shown as the text that it is.
func TestMarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "p", Version: "1", Summary: feed.Summary{
		Readme: strings.Repeat("*a* ", 5000) + "\n\n*next* block\n\n" + strings.Repeat("> ", 100) + "deep"}})
	page := w.browser().page("/feeds/main/package?name=p")
	require.Contains(t, page, "<em>a</em>")
	require.Contains(t, page, "*a* *a* *a*")
	require.Equal(t, 5000, strings.Count(page, "<em>a</em>")+strings.Count(page, "*a*"))
	require.Contains(t, page, "<em>next</em> block")
	require.Contains(t, html.UnescapeString(page), "> > deep")
	require.Equal(t, 64, strings.Count(page, "<blockquote>"))
}

// TestOrdinaryMarkdown: the bounds are far from what people write.
func TestOrdinaryMarkdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b strings.Builder
	b.WriteString(strings.Repeat("|head", 10) + "|\n" + strings.Repeat("|:-", 10) + "|\n")
	for n := range 500 {
		fmt.Fprintf(&b, "|row %d%s|\n", n, strings.Repeat("|[x](y) `z`", 9))
	}
	b.WriteString("\n")
	for n := range 20 {
		b.WriteString(strings.Repeat("  ", n) + fmt.Sprintf("- level %d\n", n))
	}
	b.WriteString("\n```go\nfunc f() { *p = a[0] }\n```\n\n~~gone~~ - https://acme.example/x\n\n- [x] done\n\nThe *end*.\n")
	w.publish(w.main, demoPackage{Name: "p", Version: "1", Summary: feed.Summary{Readme: b.String(), Repository: "https://github.com/a/b"}})
	page := w.browser().page("/feeds/main/package?name=p")
	require.Equal(t, 5000, strings.Count(page, "<td align=\"left\">"))
	require.Equal(t, 20, strings.Count(page, "<li>level"))
	for _, want := range []string{`<td align="left">row 499</td>`, `<a href="https://github.com/a/b/blob/HEAD/y" rel="nofollow noopener">x</a> <code>z</code>`,
		"<code class=\"language-go\">func f() { *p = a[0] }\n</code>", "<del>gone</del>", `<a href="https://acme.example/x" rel="nofollow noopener">`, `<input checked`, "The <em>end</em>."} {
		require.Contains(t, page, want)
	}
}

// TestLongReadme: a readme whose HTML would be too long is shown as it was written.
func TestLongReadme(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := "# Long\n\n[a]: https://x.example/" + strings.Repeat("x", 2000) + "\n\n" + strings.Repeat("[a]\n\n", 10_000)
	w.publish(w.main, demoPackage{Name: "p", Version: "1", Summary: feed.Summary{Readme: text}})
	page := w.browser().page("/feeds/main/package?name=p")
	require.Contains(t, page, "<pre># Long\n\n[a]: https://x.example/xxx")
	require.Less(t, len(page), 128<<10)
}
