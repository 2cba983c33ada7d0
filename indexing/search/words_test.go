package search_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

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
		"日本語 ":                          "日本 本語 語",
		"日":                             "日 日",
		"日本語Library2入門":                 "日本 本語 語 library2 library 2 入門 門",
		"パッケージ":                         "パッ ッケ ケー ージ ジ",
		"ﾊﾟｯｹｰｼﾞ Ａｃｍｅ":                  "パッ ッケ ケー ージ ジ acme",
		"라이브러리입니다":                      "라이 이브 브러 러리 리입 입니 니다 다",
		"ไลบรารี":                       "ไล ลบ บร รา าร รี ี",
		"cafe\u0301":                    "café",
		"ﬁle":                           "file",
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

// FuzzWords: whatever a text is, its words are words, and splitting them again gives no others.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"Newtonsoft.Json", "日本語Library", "cafe\u0301", "ーa", "\xff\u3099か", "ไลบรารี", "İstanbul K"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, run := range search.Runs(text) {
			require.NotEmpty(t, run.Word)
			require.True(t, run.Parts == nil || run.Pairs == nil)
			for _, pair := range run.Pairs {
				require.LessOrEqual(t, utf8.RuneCountInString(pair), 2)
				require.Contains(t, run.Word, pair)
			}
			require.Subset(t, search.Words(text), run.Pairs)
		}
		require.Equal(t, search.Words(text), search.Words(norm.NFC.String(norm.NFKD.String(text))), "however it was typed")
	})
}
