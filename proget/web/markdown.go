package web

import (
	"html/template"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown renders a package author's text. It omits raw HTML, as goldmark does by
// default, and allows only http, https and mailto links. Relative links start from the
// repository.
func markdown(text string, from source) template.HTML {
	return renderMarkdown(text, from, parser.DefaultBlockParsers(), parser.DefaultInlineParsers())
}

// description is markdown for text that is often plain: it keeps line breaks and treats
// List<T> as text.
func description(text string, from source) template.HTML {
	return renderMarkdown(text, from,
		without(parser.NewHTMLBlockParser(), parser.DefaultBlockParsers()),
		without(parser.NewRawHTMLParser(), parser.DefaultInlineParsers()), html.WithHardWraps())
}

func renderMarkdown(s string, from source, blocks, inlines []util.PrioritizedValue, options ...html.Option) template.HTML {
	if len(s) > maxMarkdown {
		s = strings.ToValidUTF8(s[:maxMarkdown], "") + "\n\n…"
	}
	p := parser.NewParser(
		parser.WithBlockParsers(containers(blocks)...),
		parser.WithInlineParsers(marked(inlines)...),
		parser.WithParagraphTransformers(append(parser.DefaultParagraphTransformers(), util.Prioritized(narrow{extension.NewTableParagraphTransformer()}, 200))...),
		parser.WithASTTransformers(util.Prioritized(extension.NewTableASTTransformer(), 0), util.Prioritized(tamer{from}, 1000)))
	// Alignment as an attribute: the content policy allows no inline styles.
	table := extension.NewTableHTMLRenderer(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))
	r := renderer.NewRenderer(renderer.WithNodeRenderers(util.Prioritized(html.NewRenderer(options...), 1000), util.Prioritized(table, 500),
		util.Prioritized(extension.NewStrikethroughHTMLRenderer(), 500), util.Prioritized(extension.NewTaskCheckBoxHTMLRenderer(), 500)))
	var b bounded
	if err := r.Render(&b, []byte(s), p.Parse(text.NewReader([]byte(s)))); err != nil {
		return template.HTML("<pre>" + template.HTMLEscapeString(s) + "</pre>") // people can read it nevertheless
	}
	return template.HTML(b.b.String())
}

// containers bounds how deep blocks that contain others can lie.
func containers(blocks []util.PrioritizedValue) []util.PrioritizedValue {
	for i, v := range blocks {
		if v.Value == parser.NewBlockquoteParser() || v.Value == parser.NewListParser() {
			blocks[i].Value = shallow{v.Value.(parser.BlockParser)}
		}
	}
	return blocks
}

// marked adds what GitHub's Markdown has to CommonMark's inline parsers, and bounds
// them all.
func marked(inlines []util.PrioritizedValue) []util.PrioritizedValue {
	inlines = append(inlines, util.Prioritized(extension.NewTaskCheckBoxParser(), 0),
		util.Prioritized(extension.NewStrikethroughParser(), 500), util.Prioritized(extension.NewLinkifyParser(), 999))
	for i, v := range inlines {
		inlines[i].Value = frugal{v.Value.(parser.InlineParser)}
	}
	return inlines
}

func without(one any, all []util.PrioritizedValue) []util.PrioritizedValue {
	return slices.DeleteFunc(all, func(v util.PrioritizedValue) bool { return v.Value == one })
}

// tamer adapts a document to the page.
type tamer struct{ from source }

// headingShift puts a readme's headings below the page's own.
const headingShift = 2

// Transform implements parser.ASTTransformer.
func (t tamer) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var refused []ast.Node
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		ok := true
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(n.Level+headingShift, 6)
		case *ast.Link:
			n.Destination, ok = t.resolve(n.Destination, false)
			n.Title = bound(n.Title)
			n.SetAttributeString("rel", []byte("nofollow noopener"))
		case *ast.AutoLink:
			n.SetAttributeString("rel", []byte("nofollow noopener"))
			ok = n.AutoLinkType != ast.AutoLinkURL || allowedLink(n.URL(reader.Source())) != nil
		case *ast.Image:
			n.Destination, ok = t.resolve(n.Destination, true)
			n.Title = bound(n.Title)
			n.SetAttributeString("loading", []byte("lazy"))
		}
		if !ok {
			refused = append(refused, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range refused {
		unwrap(n, reader.Source())
	}
}

// resolve returns where a link leads; ok is false if it leads nowhere.
func (t tamer) resolve(destination []byte, image bool) (to []byte, ok bool) {
	if len(destination) > maxTarget || allowedLink(destination) == nil {
		return nil, false
	}
	to = []byte(t.from.link(string(util.URLEscape(destination, true)), image))
	return to, len(to) > 0
}

// bound leaves out a link's title that is too long.
func bound(title []byte) []byte {
	if len(title) > maxTarget {
		return nil
	}
	return title
}

// unwrap replaces a link or an image by its text.
func unwrap(n ast.Node, source []byte) {
	parent := n.Parent()
	if auto, ok := n.(*ast.AutoLink); ok {
		parent.ReplaceChild(parent, n, ast.NewString(auto.Label(source)))
		return
	}
	for child := n.FirstChild(); child != nil; child = n.FirstChild() {
		parent.InsertBefore(parent, n, child)
	}
	parent.RemoveChild(parent, n)
}

// allowedLink returns nil for a link whose scheme is not allowed; goldmark itself
// refuses only a list of known dangers. It first resolves character references, as
// goldmark will when it writes the link.
func allowedLink(destination []byte) []byte {
	target := strings.ToLower(strings.TrimSpace(string(util.URLEscape(destination, true))))
	colon := strings.IndexByte(target, ':')
	if colon < 0 || strings.ContainsAny(target[:colon], "/?#") {
		return destination
	}
	switch target[:colon] {
	case "http", "https", "mailto":
		return destination
	}
	return nil
}
