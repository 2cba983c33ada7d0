package searchtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
)

// named is a stable package with nothing but a name.
func named(name string) search.Document {
	return search.Document{Key: strings.ToLower(name), Name: name, Stable: true}
}

// described is one with a description, too.
func described(name, description string, tags ...string) search.Document {
	d := named(name)
	d.Description, d.Tags = description, tags
	return d
}

// testNames: names are taken apart the way people read them.
func testNames(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, named("Newtonsoft.Json"), named("@scope/pkg-name"), named("camelCaseThing"), named("HTTPServer2"), named("größe"))
	for words, want := range map[string]string{
		"newtonsoft": "newtonsoft.json", "JSON": "newtonsoft.json", "Newtonsoft.Json": "newtonsoft.json",
		"json newtonsoft": "newtonsoft.json", "newtonsoft json": "newtonsoft.json", "newtonsoftjson": "newtonsoft.json",
		"scope": "@scope/pkg-name", "@scope/pkg-name": "@scope/pkg-name", "pkg name": "@scope/pkg-name",
		"case": "camelcasething", "camelCaseThing": "camelcasething", "camelcasething": "camelcasething", "camel-case": "camelcasething",
		"http": "httpserver2", "server": "httpserver2", "server2": "httpserver2", "HttpServer": "httpserver2", "http server 2": "httpserver2",
		"Größe": "größe", "gr": "größe",
	} {
		require.Equal(t, []string{want}, text(t, x, words), words)
	}
	require.Empty(t, text(t, x, "newtonsoft server"), "every word must be found")
	require.Empty(t, text(t, x, "ewtonsoft"), "words are not looked into")
}

func testFields(t *testing.T, open Open) {
	x := opened(t, open)
	d := search.Document{Key: "acme.lib", Name: "Acme.Lib", Title: "The Enterprise Toolbox", Description: "Solves problems quickly.",
		Authors: "Jane Doe, John Roe", Owner: "umbrella-corp", Tags: []string{"Graph-Theory", "maths"}, Stable: true}
	update(t, x, 1, 1, d, named("Other"))
	for _, words := range []string{"acme", "enterprise", "problems", "jane", "roe", "umbrella", "graph", "maths", "toolbox quickly doe corp"} {
		require.Equal(t, []string{"acme.lib"}, text(t, x, words), words)
	}
}

// testBeginnings: what is being typed finds what it may become.
func testBeginnings(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, described("Microsoft.Extensions.Logging", "", "diagnostics"), named("Serilog"))
	for _, words := range []string{"micro", "mi", "extensions log", "log ext micro", "Microsoft.Ext", "diagn"} {
		require.Equal(t, []string{"microsoft.extensions.logging"}, text(t, x, words), words)
	}
	require.Equal(t, []string{"serilog"}, text(t, x, "ser"))
}

// testManyBeginnings: however many words begin as what was typed, all are found, and however the
// packages came.
func testManyBeginnings(t *testing.T, open Open) {
	x := opened(t, open)
	const packages = 1500
	documents := make([]search.Document, packages)
	for n := range documents {
		documents[n] = named(fmt.Sprintf("Mycompany%c%c%c", 'a'+n%26, 'a'+n/26%26, 'a'+n/26/26))
	}
	update(t, x, 1, 1, documents...)
	for n, some := range slices.Collect(slices.Chunk(documents, 500)) {
		update(t, x, 2, int64(n+1), some...)
	}
	for _, feed := range []int64{1, 2} {
		for _, words := range []string{"m", "mycompan", "mycompany"} {
			hits, err := x.Search(t.Context(), search.Query{FeedID: feed, Text: words})
			require.NoError(t, err)
			require.Equal(t, packages, hits.Total, "%d: %s", feed, words)
		}
	}
}

// testWholeNames: every name is found by itself, also one that has no word.
func testWholeNames(t *testing.T, open Open) {
	x := opened(t, open)
	long := strings.Repeat("Longname", 9)
	names := []string{long, long + "er", "_", "-", "--", "++", "Acme." + long}
	documents := []search.Document{named("Acme")}
	for _, name := range names {
		documents = append(documents, named(name))
	}
	update(t, x, 1, 1, documents...)
	for _, name := range names[:len(names)-1] {
		require.Equal(t, []string{strings.ToLower(name)}, text(t, x, name), name)
		require.Equal(t, []string{strings.ToLower(name)}, text(t, x, " "+strings.ToUpper(name)), name)
	}
	require.Equal(t, "acme."+strings.ToLower(long), text(t, x, "Acme."+long)[0])
	require.Empty(t, text(t, x, "+"))
	require.Empty(t, text(t, x, long[1:]))
}

// testScripts: texts of scripts without spaces are looked into, and letters are the same however
// they were typed.
func testScripts(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, described("日本語パッケージ管理", ""), described("Acme.Kanri", "これはパッケージを管理するための便利なライブラリです。", "便利"),
		described("中文分词Library", "一个中文分词库"), described("한국어", "라이브러리입니다"), described("ไลบรารี", ""), described("café", "naïve"), described("ＷＩＤＥ.Name", "ﾊﾝｶｸ"))
	for words, want := range map[string][]string{
		"パッケージ": {"日本語パッケージ管理", "acme.kanri"}, "管理": {"日本語パッケージ管理", "acme.kanri"}, "パッケージ管理": {"日本語パッケージ管理"},
		"ﾊﾟｯｹｰｼﾞ": {"日本語パッケージ管理", "acme.kanri"}, "日本語パッケージ管理": {"日本語パッケージ管理"}, "管理 日本語": {"日本語パッケージ管理"},
		"語": {"日本語パッケージ管理"}, "理": {"日本語パッケージ管理", "acme.kanri"}, "便": {"acme.kanri"}, "ライブラリ": {"acme.kanri"},
		"分词": {"中文分词library"}, "library 中文": {"中文分词library"}, "中文分词Library": {"中文分词library"}, "库": {"中文分词library"},
		"라이브러리": {"한국어"}, "국어": {"한국어"}, "บรา": {"ไลบรารี"},
		"cafe\u0301": {"café"}, "CAFÉ": {"café"}, "nai\u0308ve": {"café"}, "wide": {"ｗｉｄｅ.name"}, "ハンカク": {"ｗｉｄｅ.name"},
		"本日": nil, "パケ": nil, "管理者": nil,
	} {
		require.Equal(t, want, text(t, x, words), words)
	}
	require.Equal(t, []string{"acme.kanri"}, find(t, x, search.Query{Tag: "便利"}))
}

func testTypos(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, named("Newtonsoft.Json"), described("Serilog", "", "logging"), named("Jsan"), named("Net"))
	for words, want := range map[string]string{
		"newtonsft": "newtonsoft.json", "newtonssofft": "newtonsoft.json", "nwetonsoft": "newtonsoft.json",
		"serilgo": "serilog", "seriloq": "serilog", "loggign": "serilog", "newtonsoft jsxn": "newtonsoft.json",
	} {
		require.Equal(t, []string{want}, text(t, x, words), words)
	}
	require.Equal(t, []string{"newtonsoft.json", "jsan"}, text(t, x, "json"), "what was typed is first")
	require.Equal(t, []string{"jsan", "newtonsoft.json"}, text(t, x, "jsan"))
	require.Empty(t, text(t, x, "nit"), "a short word has no typos")
	require.Empty(t, text(t, x, "berilog"), "the first letter is right")
	require.Empty(t, text(t, x, "sarilgg"), "two in a short word")
}

func testOrder(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, described("A.Reader", "reads json"), described("B.Data", "", "json"), named("Newtonsoft.Json"),
		named("A.Very.Long.Json.Name"), named("Json"), named("JsonSchema"))
	require.Equal(t, []string{"json", "jsonschema", "newtonsoft.json", "a.very.long.json.name", "b.data", "a.reader"}, text(t, x, "json"))
	require.Equal(t, "newtonsoft.json", text(t, x, "newtonsoft.json")[0])
	update(t, x, 1, 2, named("Acme.Log"), named("Log.Acme"))
	require.Equal(t, []string{"log.acme", "acme.log"}, text(t, x, "LOG.ACME"), "the exact name")
}

// testPopularity: downloads decide between packages that match as well, and not
// much more.
func testPopularity(t *testing.T, open Open) {
	x := opened(t, open)
	popular, more, other := named("Zeta.Json"), named("Beta.Json"), described("Gamma", "json")
	popular.Downloads, more.Downloads, other.Downloads = 1_000_000, 1_000_001, 10_000_000
	update(t, x, 1, 1, named("Alpha.Json"), popular, more, other)
	require.Equal(t, []string{"beta.json", "zeta.json", "alpha.json", "gamma"}, text(t, x, "json"), "one download more is nothing")
}

// testOddQueries: whatever is asked is answered.
func testOddQueries(t *testing.T, open Open) {
	x := opened(t, open)
	update(t, x, 1, 1, named("Acme"), named("C++"))
	require.Len(t, text(t, x, "  "), 2, "nothing is asked")
	for _, words := range []string{"...", "\"", "\x00", "\xff\xfe", "*", "name:acme", strings.Repeat("x", 10_000), strings.Repeat("a b ", 1000), "/", "=xyz", "日本"} {
		require.Empty(t, text(t, x, words), "%.20q", words)
	}
	require.Equal(t, []string{"acme"}, text(t, x, strings.Repeat("acme ", 1000)))
	require.Equal(t, []string{"c++"}, text(t, x, "c++"))
	require.Empty(t, text(t, x, strings.Repeat("日本", 5000)))
	hits, err := x.Search(t.Context(), search.Query{FeedID: 1, Text: "acme", Skip: -5, Take: -1})
	require.NoError(t, err)
	require.Equal(t, search.Hits{Total: 1, Keys: []string{"acme"}}, hits)
	d := named("long")
	d.Description = strings.Repeat("ä", 100_000)
	d.Tags = make([]string, 1000)
	for i := range d.Tags {
		d.Tags[i] = fmt.Sprint("tag", i)
	}
	update(t, x, 1, 2, d)
	require.Equal(t, []string{"long"}, text(t, x, "tag999"))
}
