package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Newtonsoft.Json":               "newtonsoft json",
		"@scope/pkg-name":               "scope pkg name",
		"camelCase":                     "camelcase camel case",
		"HTTPServer2":                   "httpserver2 http server 2",
		"log4net":                       "log4net log 4 net",
		"System.IO.Pipes":               "system io pipes",
		"größeÄnderung":                 "größeänderung größe änderung",
		"日本語 ":                          "日本語",
		"  ,;- ":                        "",
		"a " + strings.Repeat("x", 100): "a",
	} {
		require.Equal(t, want, strings.Join(search.Words(text), " "), text)
	}
}

func ExampleRuns() {
	for _, run := range search.Runs("Acme.HTTPServer2") {
		fmt.Println(run.Word, run.Parts)
	}
	// Output:
	// acme []
	// httpserver2 [http server 2]
}
