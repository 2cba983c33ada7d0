package maven

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const pluginXML = "<plugin><groupId>com.acme</groupId><artifactId>lib</artifactId><goalPrefix>go</goalPrefix></plugin>"

// archive makes a zip of entries with the same content.
func archive(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(t, err)
		_, err = w.Write([]byte(pluginXML))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func inspectFile(t testing.TB, path string, file []byte) (*feed.Manifest, error) {
	t.Helper()
	return inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(file), Size: int64(len(file)), Name: path, Digests: proget.Digests{proget.SHA256: "x"}})
}

// TestOddJars are kept, though nobody would make them so.
func TestOddJars(t *testing.T) {
	t.Parallel()
	many := make([]string, zipfile.MaxEntries+1)
	for i := range many {
		many[i] = fmt.Sprintf("%d.class", i)
	}
	for name, tc := range map[string]struct {
		file   []byte
		plugin bool
	}{
		"plugin":        {archive(t, "A.class", descriptor), true},
		"script before": {append([]byte("#!/bin/sh\n"), archive(t, descriptor)...), true},
		"twice a name":  {archive(t, descriptor, "LICENSE", "LICENSE", descriptor), true},
		"odd names":     {archive(t, "../a", "/b", `c\d`, ""), false},
		"no entries":    {archive(t), false},
		"many entries":  {archive(t, many...), false},
		"huge plugin":   {archive(t, append(many, descriptor)...), false},
	} {
		m, err := inspectFile(t, "com/acme/lib/1.0/lib-1.0.jar", tc.file)
		require.NoError(t, err, name)
		require.Equal(t, tc.plugin, m.FileData.(*fileData).Plugin != nil, name)
	}
	m, err := inspectFile(t, "com/acme/lib/1.0/lib-1.0-tests.jar", archive(t, descriptor))
	require.NoError(t, err)
	require.Nil(t, m.FileData.(*fileData).Plugin, "the version's own jar says it")
}

// TestManifest: what a file is comes from its path, what a version is from the POM.
func TestManifest(t *testing.T) {
	t.Parallel()
	m, err := inspectFile(t, "/com/acme/lib/1.0-SNAPSHOT/lib-1.0-20240131.120000-7-sources.jar", archive(t))
	require.NoError(t, err)
	require.Equal(t, &feed.Manifest{Name: "com.acme:lib", Version: "1.0-SNAPSHOT", Prerelease: true, Role: feed.Part, FileName: "lib-1.0-20240131.120000-7-sources.jar",
		FileData: &fileData{Classifier: "sources", Extension: "jar", Timestamp: "20240131.120000", Build: 7, sha256: "x"}}, m)
	m, err = inspectFile(t, "com/acme/lib/1.0/lib-1.0.pom", []byte(whole))
	require.NoError(t, err)
	require.Equal(t, "com.acme & Lib ©", m.Data.(*pomData).Name)
	m, err = inspectFile(t, "com/acme/lib/1.0/lib-1.0-build.pom", []byte("<project/>"))
	require.NoError(t, err)
	require.Nil(t, m.Data)
	m, err = inspectFile(t, "com/acme/lib/1.0/notes.txt", nil)
	require.NoError(t, err)
	require.Equal(t, feed.Extra, m.Role)
	m, err = inspectFile(t, "com/acme/lib_2.12_1.0/1.0/lib-1.0.pom", []byte(whole))
	require.NoError(t, err)
	require.Equal(t, "com.acme & Lib ©", m.Data.(*pomData).Name)
	require.Equal(t, []any{"com.acme:lib_2.12_1.0", feed.Part, &fileData{sha256: "x"}}, []any{m.Name, m.Role, m.FileData}, "an sbt plugin's")
	for _, timestamp := range []string{"20261301.000000", "20230229.000000", "20240131.240000", "20240131.236000", "00000000.000000", "99999999.999999"} {
		_, err := inspectFile(t, "com/acme/lib/1.0-SNAPSHOT/lib-1.0-"+timestamp+"-7.jar", archive(t))
		require.ErrorIs(t, err, proget.ErrInvalid, timestamp)
		require.Contains(t, proget.Message(err), timestamp)
	}
	_, err = inspectFile(t, "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20240229.235959-7.jar", archive(t))
	require.NoError(t, err)
	for _, path := range []string{"", "/", "lib-1.0.jar", `com\acme\lib\1.0\lib-1.0.jar`, "com/acme/lib/1.0/lib-1.0.jar.md5", "com/acme/lib/1.0/", "com/acme/../1.0/x"} {
		_, err := inspectFile(t, path, archive(t))
		require.ErrorIs(t, err, proget.ErrInvalid, path)
	}
}

// TestBrokenDisk: what cannot be read is not the author's fault.
func TestBrokenDisk(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	for _, name := range []string{"lib-1.0.jar", "lib-1.0.pom", "lib-1.0-build.pom"} {
		_, err := inspect(t.Context(), feed.File{ReaderAt: failing{broken}, Size: 1000, Name: "com/acme/lib/1.0/" + name})
		require.ErrorIs(t, err, broken, name)
		require.NotErrorIs(t, err, proget.ErrInvalid, name)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
