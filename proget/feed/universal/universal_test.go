package universal

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(t, err)
		_, err = w.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func inspectBytes(t testing.TB, b []byte) (*feed.Manifest, error) {
	t.Helper()
	return inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(b), Size: int64(len(b))})
}

func TestParse(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]route{
		"GET packages":                            {action: listPackages},
		"GET versions":                            {action: listVersions},
		"HEAD download/acme/tools/hdars/1.2.3":    {download, "acme/tools/hdars", "1.2.3"},
		"GET download/hdars/1.2.3-beta.1":         {download, "hdars", "1.2.3-beta.1"},
		"GET download/acme/hdars":                 {download, "acme/hdars", ""},
		"GET download/acme/hdars/1.2.3%2Bbuild.5": {download, "acme/hdars", "1.2.3+build.5"},
		"GET download-file/hdars":                 {downloadFile, "hdars", ""},
		"PUT ":                                    {action: upload},
		"POST upload/acme/hdars/1.2.3":            {upload, "acme/hdars", "1.2.3"},
		"DELETE delete/acme/hdars/1.2.3":          {remove, "acme/hdars", "1.2.3"},
		"GET delete/acme/hdars/1.2.3":             {},
		"GET upload":                              {},
		"GET what/ever":                           {},
		"GET download/%zz":                        {},
	} {
		method, path, _ := strings.Cut(request, " ")
		require.Equal(t, want, parse(method, path), request)
	}
	require.Equal(t, proget.TaskPublish, operations[parse("PUT", "upload").action])
	require.Equal(t, proget.TaskManage, operations[parse("DELETE", "delete/a/1.0.0").action])
	require.Empty(t, parse("PUT", "nothing").action)
}

func TestInspect(t *testing.T) {
	t.Parallel()
	m, err := inspectBytes(t, archive(t, "upack.json", `{"group":"Acme/Tools","name":"Hdars","version":"1.2.3-rc.1+5","_own":{"name":1}}`,
		"package/a.txt", "a", "package/A.txt", "another", "package/upack.json", "{}"))
	require.NoError(t, err)
	require.Equal(t, "Acme/Tools/Hdars", m.Name)
	require.True(t, m.Prerelease)
	require.Equal(t, "Hdars-1.2.3-rc.1+5.upack", m.FileName)
	require.Contains(t, m.Data, "_own", "fields of others are kept")
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	manifest := func(text string) []byte { return archive(t, "upack.json", text) }
	whole := manifest(`{"name":"a","version":"1.0.0"}`)
	for name, file := range map[string][]byte{
		"nothing":          nil,
		"text":             []byte("this is no zip"),
		"truncated":        whole[:len(whole)-10],
		"no manifest":      archive(t, "package/a.txt", "a"),
		"no JSON":          manifest("<xml/>"),
		"no object":        manifest(`"a"`),
		"no name":          manifest(`{"version":"1.0.0"}`),
		"no version":       manifest(`{"name":"a"}`),
		"two-part version": manifest(`{"name":"a","version":"1.0"}`),
		"dots":             manifest(`{"name":"..","version":"1.0.0"}`),
		"slash in name":    manifest(`{"name":"a/b","version":"1.0.0"}`),
		"dots in group":    manifest(`{"group":"a/../b","name":"a","version":"1.0.0"}`),
		"slash at the end": manifest(`{"group":"a/","name":"a","version":"1.0.0"}`),
		"tag":              manifest(`{"name":"a","version":"1.0.0","tags":["1st"]}`),
		"NUL":              manifest(`{"name":"a","version":"1.0.0","title":"\u0000"}`),
		"invalid UTF-8":    manifest("{\"name\":\"a\",\"version\":\"1.0.0\",\"title\":\"\xff\"}"),
		"bomb":             manifest(`{"name":"a","version":"1.0.0","title":"` + strings.Repeat(" ", 2<<20) + `"}`),
		"parent":           archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`, "package/../../x", ""),
		"two manifests":    archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`, "upack.json", `{"name":"b","version":"1.0.0"}`),
		"manifests' case":  archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`, "UPack.json", `{"name":"b","version":"1.0.0"}`),
		"two files":        archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`, "package/a", "1", `package\a`, "2"),
		"two names":        manifest(`{"name":"a","version":"1.0.0","name":"b"}`),
		"names' case":      manifest(`{"name":"a","version":"1.0.0","NAME":"b"}`),
		"long s":           manifest(`{"name":"a","version":"1.0.0","ver\u017fion":"2.0.0"}`), // which encoding/json takes for an s
		"absolute":         archive(t, "upack.json", `{"name":"a","version":"1.0.0"}`, "/etc/passwd", ""),
	} {
		_, err := inspectBytes(t, file)
		require.ErrorIs(t, err, proget.ErrInvalid, name)
		require.NotEmpty(t, proget.Message(err), name)
	}
}

type broken struct{ error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.error }
func (b broken) Write([]byte) (int, error)         { return 0, b.error }

// TestWrapTar: only what is wrong with an archive is its author's fault.
func TestWrapTar(t *testing.T) {
	t.Parallel()
	wrapped := func(w io.Writer, r io.ReaderAt, size int) error {
		return wrapTar(t.Context(), w, []byte("{}"), r, int64(size))
	}
	good := testenv.Tarball(t, `a\b`, strings.Repeat("x", 1<<20), "./c", "c")
	require.NoError(t, wrapped(io.Discard, bytes.NewReader(good), len(good)))
	for name, file := range map[string][]byte{
		"text":     []byte("this is no archive"),
		"cut off":  good[:len(good)-9],
		"parent":   testenv.Tarball(t, "a/../../b", ""),
		"absolute": testenv.Tarball(t, "/a", ""),
		"drive":    testenv.Tarball(t, "c:a", ""),
		"dot":      testenv.Tarball(t, ".", ""),
		"twice":    testenv.Tarball(t, "a", "", "./a", ""),
	} {
		err := wrapped(io.Discard, bytes.NewReader(file), len(file))
		require.ErrorIs(t, err, proget.ErrInvalid, name)
		require.NotEmpty(t, proget.Message(err), name)
	}
	disk := broken{errors.New("the disk is broken")}
	for name, err := range map[string]error{
		"reading": wrapped(io.Discard, disk, 1000),
		"writing": wrapped(disk, bytes.NewReader(good), len(good)),
	} {
		require.ErrorIs(t, err, disk.error, name)
		require.NotErrorIs(t, err, proget.ErrInvalid, name)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	sorted := []string{"1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0-rc", "1.0.0", "1.2.0", "1.10.0"}
	for i := 1; i < len(sorted); i++ {
		require.Negative(t, compareVersions(sorted[i-1], sorted[i]), "%s, %s", sorted[i-1], sorted[i])
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(archive(f, "upack.json", `{"name":"a","version":"1.0.0"}`, "package/a", "a"))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := inspectBytes(t, b)
		if err != nil {
			require.ErrorIs(t, err, proget.ErrInvalid)
			return
		}
		require.NotEmpty(t, m.Name)
	})
}
