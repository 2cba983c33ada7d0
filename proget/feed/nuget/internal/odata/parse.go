package odata

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// parser is a recursive descent parser: or, and, not, comparison, operand.
type parser struct {
	rest  string
	token string // the present word, number, sign or whole literal; "" at the end
	depth int
}

func parse(text string) (node, error) {
	if len(text) > maxLength {
		return nil, tooLong()
	}
	p := &parser{rest: text}
	if err := p.next(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err == nil && p.token != "" {
		err = syntax("%.60q is too much", p.token)
	}
	return n, err
}

// next reads a token.
func (p *parser) next() error {
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	if p.rest == "" {
		p.token = ""
		return nil
	}
	end := 0
	switch c := p.rest[0]; {
	case strings.IndexByte("(),", c) >= 0:
		end = 1
	case c == '\'':
		end = quoted(p.rest)
	default:
		end = word(p.rest)
		if p.rest[:end] == "datetime" && strings.HasPrefix(p.rest[end:], "'") {
			if q := quoted(p.rest[end:]); q > 0 {
				end += q
			}
		}
	}
	if end <= 0 {
		return syntax("%.20q begins nothing, or does not end", p.rest)
	}
	p.token, p.rest = p.rest[:end], p.rest[end:]
	return nil
}

// quoted returns the length of the text literal at the start of s, or 0 if it is not
// terminated. A quote within is doubled.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			i++
			continue
		}
		return i + 1
	}
	return 0
}

func word(s string) int {
	end := strings.IndexFunc(s, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_.+-:$", c) || c == utf8.RuneError
	})
	if end < 0 {
		return len(s)
	}
	return end
}

func (p *parser) accept(token string) (bool, error) {
	if p.token != token {
		return false, nil
	}
	return true, p.next()
}

func (p *parser) expect(token string) error {
	ok, err := p.accept(token)
	if err == nil && !ok {
		err = syntax("%q is missing before %.60q", token, p.token+p.rest)
	}
	return err
}

func (p *parser) or() (node, error)  { return p.chain("or", p.and) }
func (p *parser) and() (node, error) { return p.chain("and", p.not) }

func (p *parser) chain(name string, operand func() (node, error)) (node, error) {
	left, err := operand()
	for err == nil {
		var more bool
		if more, err = p.accept(name); !more || err != nil {
			break
		}
		var right node
		right, err = operand()
		left = binary{name, left, right}
	}
	return left, err
}

func (p *parser) not() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, syntax("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	negated, err := p.accept("not")
	if err != nil {
		return nil, err
	}
	if negated {
		n, err := p.not()
		return not{n}, err
	}
	return p.comparison()
}

var comparisons = []string{"eq", "ne", "gt", "ge", "lt", "le"}

func (p *parser) comparison() (node, error) {
	left, err := p.operand()
	if err != nil || !slices.Contains(comparisons, p.token) {
		return left, err
	}
	name := p.token
	if err := p.next(); err != nil {
		return nil, err
	}
	right, err := p.operand()
	return binary{name, left, right}, err
}

func (p *parser) operand() (node, error) {
	token := p.token
	if token == "" {
		return nil, syntax("it ends too early")
	}
	if token == "and" || token == "or" || slices.Contains(comparisons, token) {
		return nil, syntax("there is nothing before %q", token)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	if token == "(" {
		n, err := p.or()
		if err == nil {
			err = p.expect(")")
		}
		return n, err
	}
	if p.token == "(" {
		return p.call(token)
	}
	return constant(token)
}

func (p *parser) call(name string) (node, error) {
	f, known := functions[name]
	if !known {
		return nil, syntax("there is no function %.60q", name)
	}
	c := call{name: name}
	err := p.expect("(")
	for err == nil {
		var arg node
		if arg, err = p.or(); err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
		var more bool
		if more, err = p.accept(","); !more {
			break
		}
	}
	if err == nil {
		err = p.expect(")")
	}
	if err == nil && len(c.args) != f.args {
		err = syntax("%s takes %d arguments", name, f.args)
	}
	return c, err
}

// constant parses a literal or a property.
func constant(token string) (node, error) {
	if text, ok := unquote(token); ok {
		return literal{text}, nil
	}
	if text, ok := strings.CutPrefix(token, "datetime"); ok {
		if text, ok = unquote(text); ok {
			return moment(text)
		}
	}
	switch token {
	case "true":
		return literal{true}, nil
	case "false":
		return literal{false}, nil
	case "null":
		return literal{nil}, nil
	}
	if c := token[0]; c == '-' || c >= '0' && c <= '9' {
		n, err := strconv.ParseFloat(strings.TrimRight(token, "LlMmDdFf"), 64)
		if err != nil {
			return nil, syntax("%.60q is not a number", token)
		}
		return literal{n}, nil
	}
	if c, _ := utf8.DecodeRuneInString(token); !unicode.IsLetter(c) {
		return nil, syntax("%.60q is neither a value nor a property", token)
	}
	return reference(token), nil
}

func unquote(token string) (string, bool) {
	if len(token) < 2 || token[0] != '\'' {
		return "", false
	}
	return strings.ReplaceAll(token[1:len(token)-1], "''", "'"), true
}

// moment parses a time, which is in UTC unless it has a zone.
func moment(text string) (node, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return literal{t}, nil
		}
	}
	return nil, syntax("%.60q is not a time", text)
}
