package odata

import (
	"strings"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
)

// A node is a part of an expression.
type node interface {
	eval(e Entity) (Value, error)
}

type (
	literal   struct{ value Value }
	reference string // the name of a property
	binary    struct {
		name        string // eq, ne, gt, ge, lt, le, and, or
		left, right node
	}
	not  struct{ of node }
	call struct {
		name string
		args []node
	}
)

func (l literal) eval(Entity) (Value, error) { return l.value, nil }

func (r reference) eval(e Entity) (Value, error) {
	if v, ok := e(string(r)); ok {
		return v, nil
	}
	return nil, proget.Errorf(proget.ErrInvalid, "There is no property %.60q.", string(r))
}

func (n not) eval(e Entity) (Value, error) {
	v, err := n.of.eval(e)
	is, _ := v.(bool)
	return !is, err
}

func (b binary) eval(e Entity) (Value, error) {
	left, err := b.left.eval(e)
	if err != nil {
		return nil, err
	}
	if is, _ := left.(bool); b.name == "and" && !is || b.name == "or" && is {
		return is, nil
	}
	right, err := b.right.eval(e)
	if err != nil {
		return nil, err
	}
	if b.name == "and" || b.name == "or" {
		is, _ := right.(bool)
		return is, nil
	}
	order, ok := Compare(left, right)
	switch b.name {
	case "eq":
		return ok && order == 0, nil
	case "ne":
		return !ok || order != 0, nil
	case "gt":
		return ok && order > 0, nil
	case "ge":
		return ok && order >= 0, nil
	case "lt":
		return ok && order < 0, nil
	}
	return ok && order <= 0, nil
}

// functions are the string functions; they treat null like an empty string. They ignore
// case as Compare does.
var functions = map[string]struct {
	args int
	do   func(args []string) Value
}{
	"tolower":     {1, func(a []string) Value { return strings.ToLower(a[0]) }},
	"toupper":     {1, func(a []string) Value { return strings.ToUpper(a[0]) }},
	"trim":        {1, func(a []string) Value { return strings.TrimSpace(a[0]) }},
	"length":      {1, func(a []string) Value { return float64(utf8.RuneCountInString(a[0])) }},
	"concat":      {2, func(a []string) Value { return a[0] + a[1] }},
	"startswith":  {2, func(a []string) Value { return strings.HasPrefix(fold(a[0]), fold(a[1])) }},
	"endswith":    {2, func(a []string) Value { return strings.HasSuffix(fold(a[0]), fold(a[1])) }},
	"indexof":     {2, func(a []string) Value { return indexOf(fold(a[0]), fold(a[1])) }},
	"substringof": {2, func(a []string) Value { return strings.Contains(fold(a[1]), fold(a[0])) }}, // the text to look for comes first
}

// indexOf counts letters, as length does, because folding can change the number of
// bytes.
func indexOf(s, part string) Value {
	before, _, found := strings.Cut(s, part)
	if !found {
		return -1.0
	}
	return float64(utf8.RuneCountInString(before))
}

func (c call) eval(e Entity) (Value, error) {
	texts := make([]string, len(c.args))
	for i, arg := range c.args {
		v, err := arg.eval(e)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case string:
			texts[i] = v
		case Ordered:
			texts[i] = v.String()
		case nil:
		default:
			return nil, proget.Errorf(proget.ErrInvalid, "The function %s takes text.", c.name)
		}
	}
	return functions[c.name].do(texts), nil
}
