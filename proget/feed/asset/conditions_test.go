package asset_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
)

const (
	longAgo = "Sat, 01 Jan 2000 00:00:00 GMT"
	oneDay  = "Fri, 01 Jan 2100 00:00:00 GMT"
)

func (d *directory) tag(rest string) string {
	d.t.Helper()
	a := d.do("GET", rest, "")
	require.Equal(d.t, 200, a.StatusCode)
	return a.Header.Get("ETag")
}

// TestConditions: what changes a file heeds the conditions of RFC 9110 as what reads it
// does.
func TestConditions(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "PUT", "content/f", "one", "If-None-Match", "*")
	tag := d.tag("content/f")
	for _, method := range []string{"PUT", "POST", "PATCH", "DELETE"} {
		for _, header := range [][]string{
			{"If-Match", `"nope"`}, {"If-Match", "W/" + tag}, {"If-Match", `nope`}, {"If-Match", `""`},
			{"If-None-Match", "*"}, {"If-None-Match", `"nope", ` + tag}, {"If-None-Match", "W/" + tag},
			{"If-Unmodified-Since", longAgo},
			{"If-Match", tag, "If-None-Match", tag},
		} {
			text := d.must(412, method, "content/f", "two", header...)
			require.Contains(t, text, "Nothing was changed", "%s %s", method, header)
		}
	}
	d.must(412, "POST", "delete/f", "", "If-Match", `"nope"`)
	d.must(412, "POST", "content/f?multipart=upload&id=1&index=0&offset=0&totalSize=2&partSize=1&totalParts=2", "x", "If-Match", `"nope"`)
	require.Equal(t, "one", d.must(200, "GET", "content/f", ""))
	require.Equal(t, 1, d.Files(t), "nothing else was stored")

	for _, header := range [][]string{
		{"If-Match", `"nope", ` + tag}, {"If-Match", "*"}, {"If-Match", tag, "If-Unmodified-Since", longAgo},
		{"If-None-Match", `"nope"`}, {"If-Unmodified-Since", oneDay}, {"If-Unmodified-Since", "no time"}, {"If-Modified-Since", oneDay},
	} {
		for _, method := range []string{"POST", "PATCH"} {
			d.must(201, method, "content/f", "one", header...)
		}
		require.Contains(t, d.must(400, "PUT", "content/f", "one", header...), "POST replaces it", header)
	}
	for _, method := range []string{"PUT", "POST", "DELETE"} {
		d.must(412, method, "content/none", "x", "If-Match", "*")
		d.must(412, method, "content/none", "x", "If-Match", tag)
	}
	d.must(200, "DELETE", "content/none", "", "If-None-Match", "*")
	d.must(201, "POST", "content/g", "three", "If-None-Match", "*", "If-Unmodified-Since", longAgo)
	d.must(201, "POST", "dir/folder", "")
	d.must(412, "POST", "delete/folder", "", "If-Match", tag)
	d.must(200, "POST", "delete/folder", "", "If-Match", "*")
	d.must(200, "POST", "delete/g", "", "If-Match", d.tag("content/g"))
	d.must(200, "DELETE", "content/f", "", "If-Match", tag)
	require.Empty(t, d.list(""))
}

// TestConditionsInParts: an upload in parts heeds the conditions of its completion.
func TestConditionsInParts(t *testing.T) {
	t.Parallel()
	d := start(t)
	send := func(id string) {
		d.must(200, "POST", "content/f?multipart=upload&index=0&offset=0&totalSize=3&partSize=3&totalParts=1&id="+id, "abc")
	}
	complete := func(status int, id string, header ...string) {
		d.must(status, "POST", "content/f?multipart=complete&id="+id, "", header...)
	}
	send("1")
	complete(412, "1", "If-Match", "*")
	complete(200, "1", "If-None-Match", "*")
	complete(200, "1", "If-None-Match", "*") // its answer may have been lost
	send("2")
	complete(412, "2", "If-None-Match", "*")
	complete(200, "2", "If-Match", d.tag("content/f"))
}

// TestLateConditions: a condition holds when the change is made, not only when the
// request comes.
func TestLateConditions(t *testing.T) {
	t.Parallel()
	d := start(t)
	end := d.slowly("PUT", "f", "If-None-Match", "*")
	d.must(201, "PUT", "content/f", "quick")
	require.Equal(t, 412, end().StatusCode)
	tag := d.tag("content/f")
	for _, method := range []string{"PUT", "POST", "PATCH"} {
		end = d.slowly(method, "f", "If-Match", tag)
		d.must(200, "DELETE", "content/f", "")
		require.Equal(t, 412, end().StatusCode, method)
		d.must(404, "GET", "content/f", "")
		d.must(201, "PUT", "content/f", "quick")
	}
	for name, value := range map[string]string{"If-Match": tag, "If-None-Match": `"nope"`, "If-Unmodified-Since": ""} {
		if value == "" {
			value = d.do("GET", "content/f", "").Header.Get("Last-Modified")
		}
		end = d.slowly("POST", "f", name, value)
		d.must(201, "POST", "content/f", "quicker")
		require.Equal(t, 412, end().StatusCode, name)
		d.must(201, "POST", "content/f", "quick")
	}
	require.Equal(t, "quick", d.must(200, "GET", "content/f", ""))
	end = d.slowly("POST", "f", "If-Match", "*")
	d.must(201, "POST", "content/f", "quicker")
	require.Equal(t, 201, end().StatusCode, "there is one, whichever")
}

// TestConditionsAtOnce: of several who change what they have read, one succeeds, whether
// they replace, delete or describe it.
func TestConditionsAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t)
	for i := range 10 {
		d.must(201, "POST", "content/f", fmt.Sprint(i))
		content, metadata := d.tag("content/f"), d.tag("metadata/f")
		for _, requests := range [][]*http.Request{
			{
				feedtest.Request(t, "POST", d.Feed+"/metadata/f", []byte(fmt.Sprintf(`{"userMetadata":{"a":"%d"}}`, i)), "If-Match", metadata),
				feedtest.Request(t, "POST", d.Feed+"/metadata/f", []byte(fmt.Sprintf(`{"userMetadata":{"b":"%d"}}`, i)), "If-Match", metadata),
			},
			{
				feedtest.Request(t, "POST", d.Feed+"/content/f", []byte("replaced"), "If-Match", content),
				feedtest.Request(t, "PATCH", d.Feed+"/content/f", []byte("replaced, too"), "If-Match", content),
				feedtest.Request(t, "DELETE", d.Feed+"/content/f", nil, "If-Match", content),
			},
		} {
			require.Equal(t, len(requests)-1, d.atOnce(requests)[http.StatusPreconditionFailed])
		}
	}
	d.must(201, "POST", "content/f", "last")
	d.must(412, "POST", "metadata/f", `{"type":"text/x-own"}`, "If-Match", `"nope"`)
	d.must(412, "POST", "metadata/f", `{"type":"text/x-own"}`, "If-None-Match", "*")
	d.must(200, "POST", "metadata/f", `{"type":"text/x-own"}`, "If-Match", "*")
	d.must(201, "PUT", "content/folder/f", "")
	d.must(200, "POST", "metadata/folder", `{"userMetadata":{"c":"1"}}`, "If-Match", d.tag("metadata/folder"))
}

// atOnce sends requests at once, and counts the answers by status.
func (d *directory) atOnce(requests []*http.Request) map[int]int {
	statuses := make([]int, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		r.Header.Set("X-ApiKey", d.Key)
		all.Go(func() {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(d.t, err) {
				statuses[i] = resp.StatusCode
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	counts := make(map[int]int)
	for _, s := range statuses {
		counts[s]++
	}
	return counts
}
