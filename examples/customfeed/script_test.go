package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func script(name, version string) []byte {
	return []byte("#!/bin/sh\n# name: " + name + "\n# version: " + version + "\n# description: Says hello to the world.\necho hello\n")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, feedtest.Suite{
		Type: scripts(),
		Push: func(t testing.TB, base, name, version string) (*http.Request, []byte) {
			file := script(name, version)
			return feedtest.Request(t, http.MethodPut, base+"/", file), file
		},
		SignIn:    func(r *http.Request, key string) { r.Header.Set("X-ApiKey", key) },
		Documents: func(base, name string) []string { return []string{base + "/" + name} },
		Download: func(base, name, version string) string {
			return base + "/" + name + "/" + strings.ReplaceAll(version, "+", "%2B")
		},
		Versions: []feedtest.Version{{Text: "1.0.0"}, {Text: "1.2.0"}, {Text: "1.10.0-rc.1", Prerelease: true}, {Text: "1.10.0"}},
		Delete: func(t testing.TB, base, name, version string) *http.Request {
			return feedtest.Request(t, http.MethodDelete, base+"/"+name+"/"+version, nil)
		},
		Word: "world",
		Name: "greet", Three: [3]string{"1.0.0", "1.10.0-rc.1", "2.0.0"},
		Names: [][2]string{{"a", "0.0.0"}, {strings.Repeat("x", 64), "1.0.0-a.b+c"}},
		Refused: func(t testing.TB, base string) map[string]*http.Request {
			all := map[string]*http.Request{
				"a method":     feedtest.Request(t, http.MethodPost, base+"/", nil),
				"a put below":  feedtest.Request(t, http.MethodPut, base+"/greet/1.0.0", script("greet", "1.0.0")),
				"what is gone": feedtest.Request(t, http.MethodDelete, base+"/greet/1.0.0", nil),
			}
			for name, text := range map[string]string{
				"nothing": "", "no header": "echo hello", "no version": "# name: greet", "a path": "# name: ../x\n# version: 1.0.0",
				"a bad version": "# name: greet\n# version: 1", "an endless line": "#" + strings.Repeat("x", 1<<17), "bytes": "\x00\xff\xfe",
				"a control character": "# name: a\rb\n# version: 1.0.0", "a long version": "# name: greet\n# version: 1.0.0-" + strings.Repeat("a", 64),
			} {
				all[name] = feedtest.Request(t, http.MethodPut, base+"/", []byte(text))
			}
			return all
		},
	})
}

// TestSearchAndPage: what was pushed is found by its description, and has a page.
func TestSearchAndPage(t *testing.T) {
	t.Parallel()
	c := feedtest.Start(t, scripts())
	push := func(name string) {
		r := feedtest.Request(t, http.MethodPut, c.Feed+"/", script(name, "1.0.0"), "X-ApiKey", c.Key)
		require.Equal(t, http.StatusCreated, feedtest.Do(t, r).StatusCode)
	}
	push("greet")
	push("part")
	require.JSONEq(t, `{"total":1,"names":["greet"]}`, string(feedtest.Get(t, c.Feed+"/?q=greet").Body))
	require.Eventually(t, func() bool { // until the index is there, names alone are looked at
		return string(feedtest.Get(t, c.Feed+"/?q=hello").Body) == `{"names":["greet","part"],"total":2}`
	}, 30*time.Second, 20*time.Millisecond)
	page := string(feedtest.Get(t, c.URL+"/feeds/script/package?name=greet").Body)
	require.Contains(t, page, "Says hello to the world.")
	require.Contains(t, page, "curl -O "+c.Feed+"/greet/1.0.0")
	require.Equal(t, http.StatusOK, feedtest.Do(t, feedtest.Request(t, http.MethodDelete, c.Feed+"/greet/1.0.0", nil, "X-ApiKey", c.Key)).StatusCode)
	require.Equal(t, http.StatusNotFound, feedtest.Get(t, c.Feed+"/greet").StatusCode)
}

func FuzzInspect(f *testing.F) {
	f.Add(script("greet", "1.0.0"))
	f.Add([]byte("# name"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := inspect(t.Context(), feed.File{ReaderAt: strings.NewReader(string(file)), Size: int64(len(file))})
		if err == nil {
			require.Regexp(t, validName, m.Name)
		}
	})
}
