package asset_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
)

func zipped(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(t, err)
		_, err = io.WriteString(w, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.String()
}

func tarred(t testing.TB, headers ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		text := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(text)), ""
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, text)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.String()
}

// TestArchives: what is exported can be imported, and an import replaces only what
// it is told to.
func TestArchives(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "POST", "dir/from/empty", "")
	for _, p := range []string{"from/a.txt", "from/b/c.txt", "from/b/ü.txt", "from/C:/x", "from/d:y"} {
		d.must(201, "PUT", "content/"+escape(p), "content of "+p)
	}
	for _, format := range []string{"zip", "tgz"} {
		archive := d.must(200, "GET", "export/from?recursive=true&format="+format, "")
		require.Contains(t, d.must(200, "POST", "import/to/"+format+"?format="+format, archive), "Imported: 5 files. Already there, and left unchanged: 0.")
		require.Equal(t, []string{"a.txt", "b/", "b/c.txt", "b/ü.txt", "C:/", "C:/x", "d:y", "empty/"}, cut(d.list("to/"+format+"?recursive=true"), "to/"+format+"/"))
		require.Equal(t, "content of from/b/c.txt", d.must(200, "GET", "content/to/"+format+"/b/c.txt", ""))
		d.must(200, "POST", "import/flat-"+format+"?format="+format, d.must(200, "GET", "export/from?format="+format, ""))
		require.Equal(t, []string{"a.txt", "b/", "C:/", "d:y", "empty/"}, cut(d.list("flat-"+format), "flat-"+format+"/"))
	}
	d.must(201, "PUT", "content/kk/x", "k")
	kelvin := d.must(200, "GET", "export/%E2%84%AA%E2%84%AA?format=zip", "") // two letters that are kk in lower case, and longer
	z, err := zip.NewReader(strings.NewReader(kelvin), int64(len(kelvin)))
	require.NoError(t, err)
	require.Equal(t, "x", z.File[0].Name)
	archive := zipped(t, "a.txt", "new", "d.txt", "new")
	require.Contains(t, d.must(200, "POST", "import/from?format=zip", archive), "Imported: 1 file. Already there, and left unchanged: 1.")
	require.Equal(t, "content of from/a.txt", d.must(200, "GET", "content/from/a.txt", ""))
	require.Contains(t, d.must(200, "POST", "import/from?format=zip&overwrite=true", archive), "Imported: 2 files.")
	require.Equal(t, "new", d.must(200, "GET", "content/from/a.txt", ""))
	d.must(400, "POST", "import/from/a.txt?format=zip", archive)
	head := d.do("HEAD", "export/from?format=zip", "")
	require.Equal(t, `attachment; filename=from.zip`, head.Header.Get("Content-Disposition"))
}

// TestExportOfLostFile: as long as nothing was sent, the answer says what is wrong;
// afterwards, it does not pass for whole.
func TestExportOfLostFile(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "PUT", "content/folder/lost", "lost")
	d.LoseFiles(t)
	d.must(201, "PUT", "content/folder/a-small", "small")
	content := d.must(503, "GET", "content/folder/lost", "")
	for _, format := range []string{"zip", "tgz"} {
		a := d.do("GET", "export/folder?format="+format, "")
		require.Equal(t, 503, a.StatusCode)
		require.Equal(t, content, string(a.Body))
		require.Contains(t, content, "missing or damaged")
		require.Empty(t, a.Header.Get("Content-Disposition"))
		require.Equal(t, "text/plain; charset=utf-8", a.Header.Get("Content-Type"))
	}
	large := make([]byte, 1<<20)
	_, _ = rand.Read(large) // cannot be compressed
	d.must(201, "PUT", "content/folder/b-large", string(large))
	for _, format := range []string{"zip", "tgz"} {
		r, err := http.DefaultTransport.RoundTrip(feedtest.Request(t, "GET", d.Feed+"/export/folder?format="+format, nil, "X-ApiKey", d.Key))
		require.NoError(t, err)
		require.Equal(t, 200, r.StatusCode)
		_, err = io.Copy(io.Discard, r.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NoError(t, r.Body.Close())
	}
}

func cut(paths []string, prefix string) []string {
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], prefix)
	}
	return paths
}

// TestHostileArchives: of an archive whose names are not all good, nothing is
// imported.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	d := start(t)
	reg := func(name, text string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text, Mode: 0o644}
	}
	good := tarred(t, reg("good", strings.Repeat("x", 5000)))
	damaged := []byte(zipped(t, "good", "1", "damaged", "2222222222"))
	damaged[bytes.LastIndex(damaged, []byte("damaged"))-46+16] ^= 1 // the sum
	for name, tc := range map[string]struct{ format, archive string }{
		"nothing":             {"zip", ""},
		"junk":                {"zip", "junk"},
		"junk in gzip":        {"tgz", "junk"},
		"parent":              {"zip", zipped(t, "good", "", "../x", "")},
		"parent by backslash": {"zip", zipped(t, "good", "", `a\..\..\x`, "")},
		"absolute":            {"zip", zipped(t, "good", "", "/x", "")},
		"drive":               {"zip", zipped(t, "good", "", "c:/../../x", "")},
		"UNC":                 {"zip", zipped(t, "good", "", `\\server\x`, "")},
		"control":             {"zip", zipped(t, "good", "", "a\nb", "")},
		"twice":               {"zip", zipped(t, "good", "", "GOOD", "")},
		"file and folder":     {"zip", zipped(t, "good", "", "good/x", "")},
		"truncated":           {"zip", zipped(t, "good", "")[:40]},
		"tar: parent":         {"tgz", tarred(t, reg("good", ""), reg("a/../../x", ""))},
		"tar: absolute":       {"tgz", tarred(t, reg("good", ""), reg("/etc/passwd", ""))},
		"tar: absolute, too":  {"tgz", tarred(t, reg("good", ""), reg(`\etc\passwd`, ""))},
		"tar: drive":          {"tgz", tarred(t, reg("good", ""), reg("c:/../x", ""))},
		"tar: link":           {"tgz", tarred(t, reg("good", ""), tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc/passwd"})},
		"tar: device":         {"tgz", tarred(t, tar.Header{Typeflag: tar.TypeFifo, Name: "f"})},
		"tar: truncated":      {"tgz", good[:len(good)-12]},
		"tar: gzip's sum":     {"tgz", good[:len(good)-8] + "12345678"},
		"tar: long":           {"tgz", tarred(t, reg("good", ""), reg(strings.Repeat("n", 395), ""))},
	} {
		text := d.must(400, "POST", "import/into?format="+tc.format, tc.archive)
		require.Greater(t, len(text), 20, name)
		require.Empty(t, d.list(""), name)
	}
	require.Contains(t, d.must(400, "POST", "import/into?format=zip", string(damaged)), "Already imported: 1 file.")
	require.Equal(t, []string{"into/good"}, d.list("into"))
}
