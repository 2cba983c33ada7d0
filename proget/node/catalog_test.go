package node_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mirror follows a feed's catalog as the protocol's page describes it.
type mirror struct {
	catalog string
	cursor  time.Time
	known   map[string]bool // versions, and whether each is listed
	seen    int             // items
}

type catalogObject struct {
	ID              string    `json:"@id"`
	Type            any       `json:"@type"` // one, or several
	CommitTimeStamp time.Time `json:"commitTimeStamp"`
	Count           int
	PackageID       string          `json:"nuget:id"`
	Version         string          `json:"nuget:version"`
	Items           []catalogObject `json:"items"`
}

func getDocument[T any](t *testing.T, url string) (doc T) {
	t.Helper()
	resp, text := ask(t, "GET", url, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", url, text)
	require.NoError(t, json.Unmarshal([]byte(text), &doc))
	return doc
}

func newMirror(t *testing.T, source string) *mirror {
	index := getDocument[struct {
		Resources []struct {
			ID   string `json:"@id"`
			Type string `json:"@type"`
		}
	}](t, source)
	for _, r := range index.Resources {
		if r.Type == "Catalog/3.0.0" {
			return &mirror{catalog: r.ID, known: map[string]bool{}}
		}
	}
	require.Fail(t, "the feed has no catalog")
	return nil
}

func (m *mirror) follow(t *testing.T) {
	t.Helper()
	index := getDocument[catalogObject](t, m.catalog)
	require.Len(t, index.Items, index.Count)
	var news []catalogObject
	for _, p := range index.Items {
		if !p.CommitTimeStamp.After(m.cursor) {
			continue
		}
		page := getDocument[catalogObject](t, p.ID)
		require.Len(t, page.Items, page.Count)
		for _, item := range page.Items {
			if item.CommitTimeStamp.After(m.cursor) {
				news = append(news, item)
			}
		}
	}
	slices.SortStableFunc(news, func(a, b catalogObject) int { return a.CommitTimeStamp.Compare(b.CommitTimeStamp) })
	for _, item := range news {
		m.apply(t, item)
	}
	m.seen += len(news)
}

func (m *mirror) apply(t *testing.T, item catalogObject) {
	t.Helper()
	leaf := getDocument[struct {
		ID          string    `json:"@id"`
		Type        []string  `json:"@type"`
		At          time.Time `json:"catalog:commitTimeStamp"`
		PackageID   string    `json:"id"`
		Version     string
		Listed      bool
		PackageHash string
		PackageSize int64
	}](t, item.ID)
	require.Equal(t, item.ID, leaf.ID)
	require.Equal(t, item.CommitTimeStamp, leaf.At)
	require.Equal(t, item.PackageID, leaf.PackageID)
	require.Equal(t, item.Version, leaf.Version)
	require.Equal(t, "nuget:"+leaf.Type[0], item.Type)
	name := leaf.PackageID + " " + leaf.Version
	if leaf.Type[0] == "PackageDelete" {
		for known := range m.known { // identity does not depend on case
			if strings.EqualFold(known, name) {
				delete(m.known, known)
			}
		}
	} else {
		require.NotEmpty(t, leaf.PackageHash)
		require.NotZero(t, leaf.PackageSize)
		m.known[name] = leaf.Listed
	}
	m.cursor = item.CommitTimeStamp
}

// TestCatalog: a mirror that follows the catalog through any node learns of all
// that happens in a feed, once.
func TestCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.start(t, "one"), w.start(t, "two")
	m := newMirror(t, two.URL+"/nuget/nuget/v3/index.json")
	m.follow(t)
	require.Empty(t, m.known, "an empty feed has an empty catalog")
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-beta"} {
		publish(t, one.URL, "Acme.Lib", v)
	}
	require.Eventually(t, func() bool { m.follow(t); return len(m.known) == 3 }, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, map[string]bool{"Acme.Lib 1.0.0": true, "Acme.Lib 1.1.0": true, "Acme.Lib 2.0.0-beta": true}, m.known)

	resp, text := ask(t, "DELETE", two.URL+"/nuget/nuget/api/v2/package/Acme.Lib/1.1.0", nil, "X-NuGet-ApiKey", apiKey)
	require.Equal(t, http.StatusNoContent, resp.StatusCode, text)
	resp, text = ask(t, "POST", two.URL+"/api/packages/nuget/delete?name=Acme.Lib&version=1.0.0", nil, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Eventually(t, func() bool { m.follow(t); return len(m.known) == 2 && !m.known["Acme.Lib 1.1.0"] }, 20*time.Second, 50*time.Millisecond)
	require.LessOrEqual(t, m.seen, 7, "nothing twice")

	resp, _ = ask(t, "GET", one.URL+"/nuget/nuget/v3/catalog/page7.json", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	late := newMirror(t, one.URL+"/nuget/nuget/v3/index.json")
	late.follow(t)
	require.Equal(t, m.known, late.known, "who begins later comes to the same")
}
