package web

import (
	"bytes"
	"errors"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// What one text may cost, whoever wrote it. Some Markdown takes time or memory that
// grows with the square of its length, and rendering cannot be interrupted. What is
// beyond a bound is shown as text, without its formatting.
const (
	maxMarkdown = 64 << 10 // bytes that are rendered
	maxRendered = 1 << 20  // bytes of HTML: a reference may repeat a long address
	maxDepth    = 64       // blocks around a quotation or a list; a list has two: itself and its item
	maxMarks    = 2000     // attempts to find a link, emphasis or code, in one block
	maxCells    = 20_000   // of all tables: a short row is filled up
	maxTarget   = 2 << 10  // bytes of a link's address or title: see maxRendered
)

// shallow is a quotation's or a list's parser that opens no block in too many others:
// each line is compared with all open blocks.
type shallow struct{ parser.BlockParser }

func (s shallow) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	depth := 0
	for n := parent; n != nil && depth <= maxDepth; n = n.Parent() {
		depth++
	}
	if depth > maxDepth {
		return nil, parser.NoChildren
	}
	return s.BlockParser.Open(parent, reader, pc)
}

// frugal is an inline parser that gives up in a block with too many marks: each of them
// may be compared with all others, or with all that follows.
type frugal struct{ parser.InlineParser }

// marks counts the attempts in one block.
type marks struct {
	block ast.Node
	count int
}

var marksKey = parser.NewContextKey()

func (f frugal) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	m, _ := pc.Get(marksKey).(*marks)
	if m == nil {
		m = new(marks)
		pc.Set(marksKey, m)
	}
	if m.block != parent {
		*m = marks{block: parent}
	}
	// A space, where a bare address may begin, ends what is looked at: it costs little.
	if line, _ := block.PeekLine(); len(line) > 0 && util.IsPunct(line[0]) {
		m.count++
	}
	if m.count > maxMarks {
		return nil
	}
	return f.InlineParser.Parse(parent, block, pc)
}

// CloseBlock implements parser.CloseBlocker, which the parser of links is.
func (f frugal) CloseBlock(parent ast.Node, block text.Reader, pc parser.Context) {
	if c, ok := f.InlineParser.(parser.CloseBlocker); ok {
		c.CloseBlock(parent, block, pc)
	}
}

// narrow finds tables, but none that could have too many cells together with those
// before it.
type narrow struct{ parser.ParagraphTransformer }

var cellsKey = parser.NewContextKey()

func (t narrow) Transform(node *ast.Paragraph, reader text.Reader, pc parser.Context) {
	columns, lines := 1, node.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		columns = max(columns, bytes.Count(line.Value(reader.Source()), []byte("|"))+1)
	}
	cells, _ := pc.Get(cellsKey).(int)
	if cells += columns * lines.Len(); cells > maxCells {
		return
	}
	pc.Set(cellsKey, cells)
	t.ParagraphTransformer.Transform(node, reader, pc)
}

var errTooLong = errors.New("the rendered text is too long")

// bounded is a buffer with room for maxRendered bytes.
type bounded struct{ b bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.b.Len()+len(p) > maxRendered {
		return 0, errTooLong
	}
	return b.b.Write(p)
}
