package db

import (
	"bufio"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proget-go/ha/db/driver"
)

//go:embed queries/*.sql
var shared embed.FS

// A query is one named statement in the engine's own form.
type query struct {
	text   string
	params []string // nil: arguments are passed by name
}

// statements returns the statements of the query; no literal in our queries contains a
// semicolon.
func (q query) statements() []string { return strings.Split(q.text, ";") }

var parameter = regexp.MustCompile(`(^|[^@\w])@([a-z][a-z0-9_]*)`)

// Parameters returns the names of the @name parameters of a query in the order of their
// first use, except @now.
func Parameters(text string) []string {
	var names []string
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		if name := m[2]; name != "now" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// ReplaceParameters replaces every @name in text by with(name).
func ReplaceParameters(text string, with func(name string) string) string {
	return parameter.ReplaceAllStringFunc(text, func(m string) string {
		before, name, _ := strings.Cut(m, "@")
		return before + with(name)
	})
}

// ParseQueries reads the named blocks of every .sql file in a folder of fsys.
func ParseQueries(fsys fs.FS, dir string) (map[string]string, error) {
	files, err := fs.Glob(fsys, path.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	queries := make(map[string]string)
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		if err := parseBlocks(string(text), queries); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return queries, nil
}

func parseBlocks(text string, into map[string]string) error {
	var name string
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if next, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = strings.TrimSpace(next)
			if _, exists := into[name]; exists {
				return fmt.Errorf("query %s is defined twice", name)
			}
			into[name] = ""
			continue
		}
		if name == "" || strings.HasPrefix(line, "--") {
			continue
		}
		into[name] += line + "\n"
	}
	for name, text := range into {
		into[name] = strings.TrimSuffix(strings.TrimSpace(text), ";")
	}
	return lines.Err()
}

// SharedQueries returns the queries that every engine runs unchanged.
func SharedQueries() (map[string]string, error) { return ParseQueries(shared, "queries") }

func loadQueries(d driver.Driver) (map[string]query, error) {
	all, err := SharedQueries()
	if err != nil {
		return nil, fmt.Errorf("read the shared queries: %w", err)
	}
	own, err := ParseQueries(d.Files(), "queries")
	if err != nil {
		return nil, fmt.Errorf("read the queries of %s: %w", d.Name(), err)
	}
	for name, text := range own {
		if _, exists := all[name]; exists {
			return nil, fmt.Errorf("query %s of %s shadows a shared one", name, d.Name())
		}
		all[name] = text
	}
	bound := make(map[string]query, len(all))
	for name, text := range all {
		text = ReplaceParameters(text, func(name string) string {
			if name == "now" {
				return d.Now()
			}
			return "@" + name
		})
		var q query
		q.text, q.params = d.Bind(text)
		bound[name] = q
	}
	return bound, nil
}

// arg names an argument of a query.
func arg(name string, value any) sql.NamedArg { return sql.Named(name, value) }

// args returns named arguments in the form that the engine expects.
func (q query) args(named []sql.NamedArg) ([]any, error) {
	out := make([]any, 0, len(named))
	if q.params == nil {
		for _, a := range named {
			out = append(out, a)
		}
		return out, nil
	}
	for _, name := range q.params {
		i := slices.IndexFunc(named, func(a sql.NamedArg) bool { return a.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("parameter @%s has no argument", name)
		}
		out = append(out, named[i].Value)
	}
	return out, nil
}

// flag returns a boolean as the schema stores it.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
