package nuget

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

// portable makes the beginning of a portable PDB whose id begins with a text; the
// stream that holds it begins at byte 76, or where far says.
func portable(id string, far ...uint32) string {
	offset := uint32(76)
	if len(far) > 0 {
		offset = far[0]
	}
	var b bytes.Buffer
	number := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a bytes.Buffer does not fail
	b.WriteString("BSJB")
	number([]uint16{1, 1})
	number([]uint32{0, 12})
	b.WriteString("PDB v1.0\x00\x00\x00\x00")
	number([]uint16{0, 2})
	number([]uint32{100, 4})
	b.WriteString("#Strings\x00\x00\x00\x00")
	number([]uint32{offset, 20})
	b.WriteString("#Pdb\x00\x00\x00\x00")
	b.WriteString(strings.Repeat(".", 76-b.Len()))
	b.WriteString((id + strings.Repeat("\x00", 20))[:20])
	b.WriteString("and the rest")
	return b.String()
}

// symbols makes a symbol package.
func symbols(t testing.TB, id, version string, pdbs ...entry) []byte {
	return pack(t, "<id>"+id+"</id><version>"+version+`</version><packageTypes><packageType name="SymbolsPackage"/></packageTypes>`, pdbs...)
}

func TestPDB(t *testing.T) {
	t.Parallel()
	id, err := pdbID(iotest.OneByteReader(strings.NewReader(portable("0123456789abcdef"))))
	require.NoError(t, err)
	require.Equal(t, "33323130353437363839616263646566", id, "the first three parts are stored backwards")
	_, err = pdbID(iotest.ErrReader(http.ErrBodyNotAllowed))
	require.ErrorIs(t, err, http.ErrBodyNotAllowed, "no fault of the file")
}

func FuzzPDB(f *testing.F) {
	f.Add([]byte(portable("0123456789abcdef")))
	f.Add([]byte("BSJB"))
	f.Fuzz(func(t *testing.T, file []byte) {
		id, err := pdbID(bytes.NewReader(file))
		if err != nil {
			require.ErrorIs(t, err, errNotPortable)
			return
		}
		require.Len(t, id, 32)
	})
}

// TestSymbolsAbandoned: a symbol package is not read on once nobody waits for it.
func TestSymbolsAbandoned(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := symbols(t, "Acme.Lib", "1.0.0", entry{"a.pdb", portable("a")})
	_, err := inspect(ctx, feed.File{ReaderAt: bytes.NewReader(file), Size: int64(len(file))})
	require.ErrorIs(t, err, context.Canceled)
}

// stored makes a symbol package whose entries are not compressed.
func stored(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	spec := entry{"a.nuspec", `<package><metadata><id>A</id><version>1.0</version><authors>a</authors><description>d</description><packageTypes><packageType name="SymbolsPackage"/></packageTypes></metadata></package>`}
	for _, e := range append(entries, spec) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store})
		require.NoError(t, err)
		_, err = io.WriteString(w, e.text)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// aliased has one file, which has every alias.
type aliased struct {
	feed.Packages
	file proget.File
}

func (a aliased) Alias(context.Context, *proget.Feed, string) (*proget.Version, proget.File, error) {
	return &proget.Version{Name: "A", Version: "1.0"}, a.file, nil
}

// TestSymbolsDamaged: a PDB that is not what it was is not accepted, and not sent whole.
func TestSymbolsDamaged(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]string{"long": strings.Repeat("x", 100_000) + "mark", "begins wrong": "mark" + strings.Repeat("x", 100_000), "short": "mark"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := portable("0123456789abcdef") + rest
			whole := stored(t, entry{"a.pdb", text})
			m, err := inspectBytes(t, whole)
			require.NoError(t, err)
			broken := bytes.Replace(whole, []byte("mark"), []byte("MARK"), 1)
			_, err = inspectBytes(t, broken)
			require.ErrorIs(t, err, proget.ErrInvalid)
			require.Contains(t, proget.Message(err), "damaged")

			data, err := json.Marshal(m.FileData)
			require.NoError(t, err)
			w := newWorld(t, nil)
			handler := w.typ.Handler(feed.Services{Packages: aliased{file: proget.File{StorageKey: "a", Data: data}}, Files: w, Logger: slog.New(slog.DiscardHandler)})
			get := func(file []byte) *httptest.ResponseRecorder {
				w.blobs["a"] = file
				path := m.Aliases[0] + "/a.pdb"
				rec := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(t.Context(), "GET", "/symbols/main/"+path, nil)
				defer func() { require.Equal(t, rec.Body.Len() < len(text), recover() == http.ErrAbortHandler) }()
				require.NoError(t, handler.ServeFeed(rec, &feed.Request{Request: r, Feed: w.feed, Mount: symbolsMount, Path: path}))
				return rec
			}
			require.Equal(t, text, get(whole).Body.String())
			require.Nil(t, get(broken), "the connection is cut")
		})
	}
}

// TestSymbols: a symbol package joins its package, and debuggers find each PDB by
// its name and id through any node.
func TestSymbols(t *testing.T) {
	t.Parallel()
	c := feedtest.Start(t, New(nil))
	push := func(path string, file []byte) feedtest.Answer {
		return feedtest.Do(t, feedtest.Request(t, http.MethodPut, c.Feed+path, file, "X-NuGet-ApiKey", c.Key))
	}
	pdb := portable("0123456789abcdef")
	snupkg := symbols(t, "Acme.Lib", "1.0.0", entry{"lib/net8.0/Acme.Lib.pdb", pdb}, entry{"lib/net9.0/Acme.Lib.pdb", pdb}, entry{"lib/net9.0/Other.pdb", portable("other")})
	a := push("/api/v2/symbolpackage/", snupkg)
	require.Equal(t, http.StatusNotFound, a.StatusCode)
	require.Contains(t, string(a.Body), "publish that first")
	require.Zero(t, c.Files(t))
	require.Equal(t, http.StatusCreated, push("/api/v2/package/", simple(t, "Acme.Lib", "1.0.0")).StatusCode)
	require.Equal(t, http.StatusCreated, push("/api/v2/symbolpackage/", snupkg).StatusCode)
	require.Equal(t, http.StatusCreated, push("/api/v2/symbolpackage/", snupkg).StatusCode, "the same again")
	require.Equal(t, http.StatusConflict, push("/api/v2/symbolpackage/", symbols(t, "Acme.Lib", "1.0.0", entry{"a.pdb", pdb})).StatusCode)
	require.Equal(t, 2, c.Files(t))

	server := c.URL + "/symbols/nuget/"
	url := server + "acme.lib.pdb/33323130353437363839616263646566FFFFFFFF/Acme.Lib.pdb"
	for range c.Nodes {
		a := feedtest.Get(t, url)
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Equal(t, pdb, string(a.Body))
	}
	require.Equal(t, http.StatusNotModified, feedtest.Get(t, url, "If-None-Match", feedtest.Get(t, url).Header.Get("ETag")).StatusCode)
	head := feedtest.Do(t, feedtest.Request(t, http.MethodHead, url, nil))
	require.EqualValues(t, len(pdb), head.ContentLength)
	for path, status := range map[string]int{
		"acme.lib.pdb/00000000000000000000000000000000ffffffff/acme.lib.pdb": http.StatusNotFound,
		"acme.lib.pdb/33323130353437363839616263646566ffffffff/other.pdb":    http.StatusNotFound,
		"": http.StatusNotFound, "v3/index.json": http.StatusNotFound,
	} {
		require.Equal(t, status, feedtest.Get(t, server+path).StatusCode, path)
	}
	require.Equal(t, http.StatusMethodNotAllowed, feedtest.Do(t, feedtest.Request(t, http.MethodPut, url, nil, "X-NuGet-ApiKey", c.Key)).StatusCode)
	var pkg = feedtest.Get(t, c.Feed+"/v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg")
	require.Equal(t, simple(t, "Acme.Lib", "1.0.0"), pkg.Body, "the package is what it was")
	require.Equal(t, http.StatusOK, feedtest.Do(t, feedtest.Request(t, http.MethodPost, c.URL+"/api/packages/nuget/delete?name=Acme.Lib&version=1.0.0", nil, "X-ApiKey", c.Key)).StatusCode)
	require.Equal(t, http.StatusNotFound, feedtest.Get(t, url).StatusCode)
}
