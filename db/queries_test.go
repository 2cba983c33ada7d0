package db_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
)

// TestDialectsAgree: every engine has the same queries with the same
// parameters, and none that another lacks.
func TestDialectsAgree(t *testing.T) {
	t.Parallel()
	shared, err := db.SharedQueries()
	require.NoError(t, err)
	reference := parameters(t, "sqlite")
	for _, engine := range []string{"postgres", "sqlserver"} {
		require.Equal(t, reference, parameters(t, engine), engine)
	}
	used := usedQueries(t)
	for name := range reference {
		require.NotContains(t, shared, name, "a shared query is shadowed")
		require.Contains(t, used, name, "nobody runs this query")
	}
	for name := range shared {
		require.Contains(t, used, name, "nobody runs this query")
	}
	for _, name := range used {
		_, own := reference[name]
		_, common := shared[name]
		require.True(t, own || common, "there is no query %s", name)
	}
}

func parameters(t *testing.T, engine string) map[string][]string {
	t.Helper()
	queries, err := db.ParseQueries(os.DirFS(engine), "queries")
	require.NoError(t, err)
	all := make(map[string][]string)
	for name, text := range queries {
		all[name] = slices.Sorted(slices.Values(db.Parameters(text)))
	}
	return all
}

var call = regexp.MustCompile(`(?:one|each|run|rows|insert|putSignIn|claimed|lease|job|list|table|collect)\((?:ctx, (?:[&.\w]+, )?)?"([A-Z]\w+)"|put\(ctx, (?:update|"([A-Z]\w+)"), "([A-Z]\w+)"|queries\["(\w+)"\]`)

// list is several queries that are run one after the other.
var list = regexp.MustCompile(`\[\]string\{("[A-Z]\w+"(?:, "[A-Z]\w+")*)\}`)

// usedQueries returns the names that this package's code mentions as strings.
func usedQueries(t *testing.T) []string {
	t.Helper()
	var names []string
	files, err := fs.Glob(os.DirFS("."), "*.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range list.FindAllStringSubmatch(string(text), -1) {
			for name := range strings.SplitSeq(m[1], ", ") {
				names = append(names, strings.Trim(name, `"`))
			}
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			for _, name := range m[1:] {
				if name != "" {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
