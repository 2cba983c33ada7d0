// Package archtest asserts the direction of imports, from what the go command
// itself lists.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/proget-go/ha/"

// layers are the packages in the order in which they may import each other: a
// package imports only layers before its own.
var layers = [][]string{
	{"internal/blame", "internal/archivename"},
	{"proget", "internal/zipfile", "internal/tarfile", "internal/tracing", "internal/quantity", "internal/recurring", "internal/direct", "internal/objecthttp", "internal/netfault", "internal/ports", "election/electionplugin/internal/wire"},
	{"storage/share"},
	{"storage", "election", "db/driver"},
	{"db", "storage/s3", "storage/azure", "storage/gcs"},
	{"db/sqlite", "db/postgres", "db/sqlserver", "election/dblease", "election/static", "election/etcd", "election/electionplugin"},
	{"indexing"},
	{"indexing/search", "indexing/upkeep", "indexing/repoindex", "indexing/statistics"},
	{"indexing/search/bleve", "indexing/search/snapshot"},
	{"proget/feed", "proget/feed/nuget/internal/odata"},
	{"proget/auth"},
	{"proget/feed/nuget", "proget/feed/maven", "proget/feed/npm", "proget/feed/oci", "proget/feed/pypi", "proget/feed/universal", "proget/feed/asset", "proget/publish", "proget/upload", "proget/catalog", "proget/cluster"},
	{"indexing/retention", "indexing/search/live"},
	{"proget/admin"},
	{"proget/api", "proget/web"},
	{"proget/node"},
	{"examples/cluster/internal/history", "examples/cluster/internal/variant"},
	{"examples/cluster/internal/load", "examples/cluster/internal/report"},
	{"examples/server", "examples/cluster", "examples/embed", "examples/customfeed", "examples/electionplugin"},
}

// conformance packages are imported by tests alone.
var conformance = []string{"storage/storagetest", "storage/faulty", "db/dbtest", "election/electiontest", "indexing/search/searchtest", "proget/feed/feedtest", "internal/testenv", "internal/archtest"}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func layer(path string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, path) })
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(conformance, path) {
			continue
		}
		from := layer(path)
		require.GreaterOrEqual(t, from, 0, "package %s has no place in the layers", path)
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			require.NotContains(t, conformance, to, "%s ships a test package", path)
			require.Less(t, layer(to), from, "%s imports %s", path, to)
		}
	}
}

// TestVocabularyIsPlain: the words depend on the standard library alone.
func TestVocabularyIsPlain(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		if p.ImportPath != strings.TrimSuffix(module, "/")+"/proget" {
			continue
		}
		for _, imported := range p.Imports {
			require.NotContains(t, imported, ".", "proget imports %s", imported)
		}
	}
}

// TestDriversStayAtTheEdge: above db and storage nobody knows an engine or a
// bucket.
func TestDriversStayAtTheEdge(t *testing.T) {
	t.Parallel()
	edge := map[string][]string{ // the fault suite looks at databases from beside
		"modernc.org/sqlite":              {"db/sqlite", "examples/cluster"},
		"github.com/jackc/pgx":            {"db/postgres", "internal/testenv", "examples/cluster"},
		"github.com/microsoft/go-mssqldb": {"db/sqlserver", "examples/cluster"},
		"gocloud.dev/":                    {"storage", "storage/share", "storage/faulty", "storage/storagetest", "storage/s3", "storage/azure", "storage/gcs"},
		"github.com/aws/":                 {"storage/s3"},
		"github.com/Azure/":               {"storage/azure", "internal/testenv"},
		"cloud.google.com/":               {"storage/gcs"},
		"github.com/blevesearch/":         {"indexing/search/bleve", "indexing/search/snapshot"},
		"go.etcd.io/etcd":                 {"election/etcd"},
		"go.uber.org/zap":                 {"election/etcd"},
		"github.com/hashicorp/go-plugin":  {"election/electionplugin"},
		"github.com/hashicorp/go-hclog":   {"election/electionplugin"},
		"google.golang.org/grpc":          {"election/electionplugin", "election/electionplugin/internal/wire"},
		"github.com/gofrs/flock":          {"examples/electionplugin"},
	}
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			for library, rooms := range edge {
				if strings.HasPrefix(imported, library) {
					require.Contains(t, rooms, path, "%s imports %s", path, imported)
				}
			}
		}
	}
}
