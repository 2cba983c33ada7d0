package pypi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func versionOf(t *testing.T, d data, files ...fileData) *proget.Version {
	t.Helper()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	v := &proget.Version{Name: "lib", Version: "1.0", Manifest: text}
	for _, f := range files {
		text, err := json.Marshal(f)
		require.NoError(t, err)
		v.Files = append(v.Files, proget.File{Data: text})
	}
	return v
}

func TestSummary(t *testing.T) {
	t.Parallel()
	v := versionOf(t, data{Summary: "A library.", Description: "Title\n=====\n```x```", DescriptionType: "text/x-rst", AuthorEmail: `"Ann B." <ann@example.org>, bob@example.org`, License: "Some", LicenseExpression: "MIT",
		Keywords: "one two", ProjectURLs: []string{"Source, https://example.org/s", "Home-Page, https://example.org/h"}},
		fileData{Type: sdistType}, fileData{Type: wheelType, RequiresDist: []string{"a[x, y] (>=1,<2) ; extra == 'z'", "b", "c~=1.0", "d @ https://example.org/d.whl"}})
	s := summary(v)
	require.Equal(t, feed.Summary{Description: "A library.", Authors: "Ann B., bob@example.org", Tags: []string{"one", "two"}, ProjectURL: "https://example.org/h", License: "MIT",
		Readme: "````\nTitle\n=====\n```x```\n````", Dependencies: []feed.Dependency{
			{Group: "extra == 'z'", Name: "a", Range: "[x, y] >=1,<2"}, {Name: "b"}, {Name: "c", Range: "~=1.0"}, {Name: "d", Range: "@ https://example.org/d.whl"}}}, s)
	s = summary(versionOf(t, data{Description: "# Title", DescriptionType: "text/markdown; charset=UTF-8", Author: "Ann", Keywords: "one thing, another", HomePage: "https://example.org"}))
	require.Equal(t, feed.Summary{Authors: "Ann", Tags: []string{"one thing", "another"}, ProjectURL: "https://example.org", Readme: "# Title"}, s)
	summary(&proget.Version{}) // that of nothing is empty
}

func TestInstall(t *testing.T) {
	t.Parallel()
	const base = "http://host/pypi/f"
	require.Equal(t, "pip install lib==1.0 --index-url http://host/pypi/f/simple", install(base, nil, &proget.Version{Name: "lib", Version: "1.0"})[0].Command)
	require.Equal(t, "uv pip install 'lib==1!1.0' --index-url http://host/pypi/f/simple", install(base, nil, &proget.Version{Name: "lib", Version: "1!1.0"})[1].Command)
}
