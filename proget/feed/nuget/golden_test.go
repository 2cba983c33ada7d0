package nuget

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDocuments compares whole documents with files under testdata.
func TestDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "Acme.Rich", "0.9"))
	w.publish(simple(t, "acme.rich", "1.0.0.1",
		`<projectUrl>javascript:alert(1)</projectUrl><iconUrl>icon.png</iconUrl><licenseUrl>https://acme.example/license</licenseUrl>`,
		`<dependencies><dependency id="A" version="1.*"/><dependency id="B"/></dependencies>`))
	w.publish(simple(t, "Acme.Rich", "1.1"))
	w.publish(rich(t))
	w.publish(simple(t, "Acme.Rich", "1.1.5"))
	w.change("acme.rich", "0.9", func(s *proget.Status) { s.Listed = false })
	w.change("acme.rich", "1.1", func(s *proget.Status) { s.Deprecated = "CriticalBugs" })
	w.change("acme.rich", "1.0.0.1", func(s *proget.Status) { s.Deprecated = "Use 1.1." })
	w.change("acme.rich", "1.1.5", func(s *proget.Status) { s.Blocked = true })

	for file, path := range map[string]string{
		"index.json":                 "v3/index.json",
		"versions.json":              "v3/flatcontainer/acme.rich/index.json",
		"registration.json":          "v3/registration/acme.rich/index.json",
		"registration-semver1.json":  "v3/registration-semver1/acme.rich/index.json",
		"leaf.json":                  "v3/registration/acme.rich/1.2.0-beta.1.json",
		"leaf-unlisted.json":         "v3/registration/acme.rich/0.9.0.json",
		"search.json":                "v3/search?q=acme&prerelease=true&semVerLevel=2.0.0",
		"search-stable.json":         "v3/search?q=acme",
		"autocomplete.json":          "v3/autocomplete?q=acme",
		"autocomplete-versions.json": "v3/autocomplete?id=Acme.Rich&prerelease=true&semVerLevel=2.0.0",
	} {
		t.Run(file, func(t *testing.T) {
			rec := w.get(path)
			require.Equal(t, 200, rec.Code, rec.Body)
			golden(t, file, rec.Body.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, got, "", "  "))
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, indented.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update")
	require.Equal(t, string(want), indented.String())
}
