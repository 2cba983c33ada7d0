package npm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/npm"
)

// TestDeprecateAndUnpublish does what npm does, request by request.
func TestDeprecateAndUnpublish(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		c.publish("lib", version, nil, nil)
	}
	before := c.object("lib?write=true")
	deprecate := func(doc map[string]any, version string, reason any) feedtest.Answer {
		at(doc, "versions", version).(map[string]any)["deprecated"] = reason
		return c.do("PUT", "lib", doc)
	}
	require.Equal(t, http.StatusOK, deprecate(before, "1.0.0", "too old").StatusCode)
	now := c.object("lib?write=true")
	require.Equal(t, "too old", at(now, "versions", "1.0.0", "deprecated"))
	require.Nil(t, at(now, "versions", "1.1.0", "deprecated"))
	require.Equal(t, http.StatusConflict, deprecate(before, "1.1.0", "x").StatusCode, "it has changed meanwhile")
	require.Equal(t, http.StatusBadRequest, deprecate(now, "1.1.0", strings.Repeat("x", 1001)).StatusCode)
	require.Equal(t, http.StatusOK, deprecate(c.object("lib"), "1.0.0", "").StatusCode)
	require.Nil(t, at(c.object("lib"), "versions", "1.0.0", "deprecated"))

	doc := c.object("lib?write=true")
	delete(doc["versions"].(map[string]any), "1.1.0")
	rev := doc["_rev"].(string)
	require.Equal(t, http.StatusOK, c.do("PUT", "lib/-rev/"+rev, doc).StatusCode)
	require.Equal(t, http.StatusOK, c.do("DELETE", "lib/-/lib-1.1.0.tgz/-rev/"+rev, nil).StatusCode)
	after := c.object("lib")
	require.Len(t, after["versions"], 1)
	require.Equal(t, map[string]any{"latest": "1.0.0"}, after["dist-tags"], "the tag went with its version")
	require.Equal(t, http.StatusNotFound, c.do("DELETE", "lib/-/lib-1.1.0.tgz/-rev/"+rev, nil).StatusCode)
	require.Equal(t, http.StatusBadRequest, c.do("PUT", "lib/-rev/"+rev, map[string]any{"maintainers": []any{}}).StatusCode)
	for _, read := range []string{rev, "undefined"} { // from before 1.1.0 was deleted
		a := c.do("DELETE", "lib/-rev/"+read, nil)
		require.Equal(t, http.StatusConflict, a.StatusCode, read)
		require.Contains(t, string(a.Body), "lib has changed meanwhile: do that again.")
	}
	require.Equal(t, http.StatusOK, c.do("DELETE", "lib/-rev/"+c.object("lib?write=true")["_rev"].(string), nil).StatusCode)
	require.Equal(t, http.StatusNotFound, c.do("GET", "lib", nil).StatusCode)
}

// TestDeprecateNothing: a change that cannot be made is refused, and none of the others
// in its document is made.
func TestDeprecateNothing(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		c.publish("lib", version, nil, nil)
	}
	say := func(version string, said any) feedtest.Answer {
		return c.do("PUT", "lib", map[string]any{"versions": map[string]any{"1.0.0": map[string]any{"deprecated": "old"}, version: said}})
	}
	a := say("77.0.0", map[string]any{"deprecated": "x"})
	require.Equal(t, http.StatusNotFound, a.StatusCode, string(a.Body))
	require.Contains(t, string(a.Body), "lib has no version 77.0.0.")
	for _, said := range []any{nil, "x", map[string]any{"deprecated": 5}, map[string]any{"deprecated": []any{}}} {
		a := say("1.1.0", said)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, "%v: %s", said, a.Body)
	}
	require.Nil(t, at(c.object("lib"), "versions", "1.0.0", "deprecated"))
	require.Equal(t, http.StatusOK, say("1.1.0", map[string]any{"deprecated": true}).StatusCode)
	require.Equal(t, "deprecated", at(c.object("lib"), "versions", "1.1.0", "deprecated"))
	require.Equal(t, http.StatusOK, say("1.1.0", map[string]any{"deprecated": false}).StatusCode)
	require.Nil(t, at(c.object("lib"), "versions", "1.1.0", "deprecated"))
}
