package web

import (
	"bytes"
	"html/template"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// maxMarkdown bounds the text that is rendered for one page, in bytes.
const maxMarkdown = 256 << 10

// markdown renders a package author's text. It omits raw HTML, as goldmark does by
// default, and allows only http, https and mailto links. Relative links start from the
// repository.
func markdown(text string, from source, options ...goldmark.Option) (template.HTML, error) {
	if len(text) > maxMarkdown {
		text = strings.ToValidUTF8(text[:maxMarkdown], "") + "\n\n…"
	}
	// Alignment as an attribute: the content policy allows no inline styles.
	table := extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))
	md := goldmark.New(append(options,
		goldmark.WithExtensions(extension.Strikethrough, extension.Linkify, extension.TaskList, table),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(tamer{from}, 1000))),
	)...)
	var b bytes.Buffer
	if err := md.Convert([]byte(text), &b); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// description is markdown for text that is often plain: it keeps line breaks and treats
// List<T> as text.
func description(text string, from source) (template.HTML, error) {
	p := parser.NewParser(
		parser.WithBlockParsers(without(parser.NewHTMLBlockParser(), parser.DefaultBlockParsers())...),
		parser.WithInlineParsers(without(parser.NewRawHTMLParser(), parser.DefaultInlineParsers())...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...))
	return markdown(text, from, goldmark.WithParser(p), goldmark.WithRendererOptions(html.WithHardWraps()))
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
			n.SetAttributeString("rel", []byte("nofollow noopener"))
		case *ast.AutoLink:
			n.SetAttributeString("rel", []byte("nofollow noopener"))
			ok = n.AutoLinkType != ast.AutoLinkURL || allowedLink(n.URL(reader.Source())) != nil
		case *ast.Image:
			n.Destination, ok = t.resolve(n.Destination, true)
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
	if allowedLink(destination) == nil {
		return nil, false
	}
	to = []byte(t.from.link(string(util.URLEscape(destination, true)), image))
	return to, len(to) > 0
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
