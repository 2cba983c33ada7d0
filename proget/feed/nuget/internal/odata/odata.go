// Package odata implements as much of OData version 2 as clients of NuGet's old
// protocol send: $filter and $orderby on the properties of one entity.
//
// The grammar is that of sections 4.5 and 4.2 of "OData Version 2.0, URI Conventions"
// (odata.org/documentation/odata-version-2-0/uri-conventions), without arithmetic,
// navigation and date functions.
package odata

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// Bounds of an expression, which comes from strangers.
const (
	maxLength = 8 << 10 // bytes
	maxDepth  = 64
)

// A Value is the value of a property or expression: a string, a bool, a float64, a
// time.Time, an Ordered, or nil for null.
type Value any

// An Ordered is text with its own order, such as a version. Functions see only the
// text.
type Ordered interface {
	String() string

	// Compare is like the function Compare, with the Ordered on the left. It returns
	// false unless v is a string or another Ordered that can be compared.
	Compare(v Value) (int, bool)
}

// An Entity returns the value of a property, and false if there is no such property.
type Entity func(property string) (Value, bool)

// A Filter is a $filter expression.
type Filter struct{ root node }

// ParseFilter parses an expression. An empty one matches everything. Errors are of kind
// proget.ErrInvalid, with a sentence for the author.
func ParseFilter(text string) (*Filter, error) {
	if strings.TrimSpace(text) == "" {
		return &Filter{literal{true}}, nil
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Filter{root}, nil
}

// Match reports whether an entity satisfies the filter. Comparing values that cannot be
// compared yields false, as in a database. For an unknown property, or an expression
// that is not a condition, Match returns proget.ErrInvalid.
func (f *Filter) Match(e Entity) (bool, error) {
	v, err := f.root.eval(e)
	if err != nil {
		return false, err
	}
	is, ok := v.(bool)
	if !ok && v != nil {
		return false, proget.Errorf(proget.ErrInvalid, "The filter is a value, not a condition.")
	}
	return is, nil
}

// Only returns the values, in lower case, of which a property must have one, if the
// filter restricts it that way: "Id eq 'A' or tolower(Id) eq 'b'" yields a and b for
// Id.
func (f *Filter) Only(property string) (values []string, ok bool) {
	values, ok = only(f.root, property)
	slices.Sort(values)
	return slices.Compact(values), ok
}

func only(n node, property string) ([]string, bool) {
	op, isOp := n.(binary)
	if !isOp {
		return nil, false
	}
	switch op.name {
	case "and":
		if values, ok := only(op.left, property); ok {
			return values, true
		}
		return only(op.right, property)
	case "or":
		left, ok := only(op.left, property)
		right, also := only(op.right, property)
		return append(left, right...), ok && also
	case "eq":
		for _, pair := range [][2]node{{op.left, op.right}, {op.right, op.left}} {
			l, _ := pair[1].(literal)
			if text, ok := l.value.(string); ok && names(pair[0], property) {
				return []string{strings.ToLower(text)}, true
			}
		}
	}
	return nil, false
}

// names reports whether a node is the given property, ignoring case.
func names(n node, property string) bool {
	if c, ok := n.(call); ok && (c.name == "tolower" || c.name == "toupper") {
		n = c.args[0]
	}
	return n == node(reference(property))
}

// Is reports whether the filter is the given property, a condition, and nothing else.
func (f *Filter) Is(property string) bool {
	op, isOp := f.root.(binary)
	if isOp && op.name == "eq" && op.right == node(literal{true}) {
		return op.left == node(reference(property))
	}
	return f.root == node(reference(property))
}

// Uses reports whether the filter contains a property.
func (f *Filter) Uses(property string) bool { return uses(f.root, property) }

func uses(n node, property string) bool {
	switch n := n.(type) {
	case reference:
		return string(n) == property
	case binary:
		return uses(n.left, property) || uses(n.right, property)
	case not:
		return uses(n.of, property)
	case call:
		return slices.ContainsFunc(n.args, func(arg node) bool { return uses(arg, property) })
	}
	return false
}

// An Order is one term of $orderby.
type Order struct {
	Property string
	Down     bool
}

// ParseOrder parses "Id" or "DownloadCount desc,Id asc".
func ParseOrder(text string) ([]Order, error) {
	var orders []Order
	if len(text) > maxLength {
		return nil, tooLong()
	}
	for term := range strings.SplitSeq(text, ",") {
		words := strings.Fields(term)
		switch {
		case len(words) == 0 && len(orders) == 0:
			continue
		case len(words) == 1 || len(words) == 2 && words[1] == "asc":
			orders = append(orders, Order{Property: words[0]})
		case len(words) == 2 && words[1] == "desc":
			orders = append(orders, Order{words[0], true})
		default:
			return nil, proget.Errorf(proget.ErrInvalid, "The order %.60q cannot be understood: name properties, each with asc or desc, separated by commas.", term)
		}
	}
	return orders, nil
}

// Compare compares two values of the same kind. The result is negative if a comes
// first. It ignores the case of text, as the servers do that clients know. It returns
// false if the values cannot be compared.
func Compare(a, b Value) (int, bool) {
	switch a := a.(type) {
	case Ordered:
		return a.Compare(b)
	case string:
		switch b := b.(type) {
		case Ordered:
			order, ok := b.Compare(a)
			return -order, ok
		case string:
			return strings.Compare(fold(a), fold(b)), true
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b), true
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			return cmp.Compare(rank(a), rank(b)), true
		}
	case nil:
		return 0, b == nil
	}
	return 0, false
}

// fold maps texts that differ only in case to the same text. It works letter by letter
// and ignores language: "ß" is not "SS", and the order is that of small letters.
func fold(s string) string { return strings.ToLower(s) }

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func tooLong() error {
	return proget.Errorf(proget.ErrInvalid, "The expression is longer than %d bytes.", maxLength)
}

func syntax(format string, args ...any) error {
	return proget.Errorf(proget.ErrInvalid, "The filter cannot be understood: %s.", fmt.Sprintf(format, args...))
}
