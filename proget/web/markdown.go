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

// markdown renders what a package's author wrote. Raw HTML is left out, which
// goldmark does unless it is told that its source is trusted, and links lead
// to http, https and mailto alone.
func markdown(source string, options ...goldmark.Option) (template.HTML, error) {
	if len(source) > maxMarkdown {
		source = strings.ToValidUTF8(source[:maxMarkdown], "") + "\n\n…"
	}
	// Alignment as an attribute: the content policy allows no inline styles.
	table := extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))
	md := goldmark.New(append(options,
		goldmark.WithExtensions(extension.Strikethrough, extension.Linkify, extension.TaskList, table),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(tamer{}, 1000))),
	)...)
	var b bytes.Buffer
	if err := md.Convert([]byte(source), &b); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// description is markdown for what is plain text as often: its lines remain lines,
// and List<T> is text.
func description(source string) (template.HTML, error) {
	p := parser.NewParser(
		parser.WithBlockParsers(without(parser.NewHTMLBlockParser(), parser.DefaultBlockParsers())...),
		parser.WithInlineParsers(without(parser.NewRawHTMLParser(), parser.DefaultInlineParsers())...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...))
	return markdown(source, goldmark.WithParser(p), goldmark.WithRendererOptions(html.WithHardWraps()))
}

func without(one any, all []util.PrioritizedValue) []util.PrioritizedValue {
	return slices.DeleteFunc(all, func(v util.PrioritizedValue) bool { return v.Value == one })
}

// tamer makes a document fit into a page.
type tamer struct{}

// headingShift puts a readme's headings below those of the page.
const headingShift = 2

// Transform implements parser.ASTTransformer.
func (tamer) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var refused []*ast.AutoLink
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(n.Level+headingShift, 6)
		case *ast.Link:
			n.Destination = allowedLink(n.Destination)
			n.SetAttributeString("rel", []byte("nofollow noopener"))
		case *ast.AutoLink:
			n.SetAttributeString("rel", []byte("nofollow noopener"))
			if n.AutoLinkType == ast.AutoLinkURL && allowedLink(n.URL(reader.Source())) == nil {
				refused = append(refused, n)
			}
		case *ast.Image:
			n.SetAttributeString("loading", []byte("lazy"))
		}
		return ast.WalkContinue, nil
	})
	for _, n := range refused {
		n.Parent().ReplaceChild(n.Parent(), n, ast.NewString(n.Label(reader.Source())))
	}
}

// allowedLink returns nil for a link with a scheme that is not on the list.
// What goldmark refuses by itself is a list of known dangers only. Character
// references are resolved first, as they will be when the link is written.
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
