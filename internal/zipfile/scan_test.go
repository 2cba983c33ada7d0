package zipfile_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/zipfile"
)

func archive(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(t, err)
		_, err = io.WriteString(w, "content of "+name)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func scan(file []byte) (names []string, err error) {
	_, err = zipfile.Scan(bytes.NewReader(file), int64(len(file)), func(name []byte) { names = append(names, string(name)) })
	return names, err
}

func TestScan(t *testing.T) {
	t.Parallel()
	file := archive(t, "a", "b/c", "a", "../d")
	names, err := scan(file)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b/c", "a", "../d"}, names)
	names, err = scan(append([]byte("#!/bin/sh\nexec java -jar \"$0\"\n"), file...))
	require.NoError(t, err, "something before the archive")
	require.Len(t, names, 4)
	names, err = scan(archive(t))
	require.NoError(t, err)
	require.Empty(t, names)
	many := make([]string, zipfile.MaxEntries+10)
	for i := range many {
		many[i] = fmt.Sprintf("%d.class", i)
	}
	names, err = scan(archive(t, many...))
	require.NoError(t, err)
	require.Equal(t, many, names)
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	file := archive(t, "a", "b/c")
	for name, broken := range map[string][]byte{
		"empty":           nil,
		"text":            []byte("junk"),
		"cut off":         file[:len(file)-10],
		"begins late":     file[len(file)-60:],
		"wrong number":    changed(file, len(file)-12, 7),
		"wrong size":      changed(file, len(file)-10, 7),
		"wrong offset":    changed(file, len(file)-3, 7),
		"broken entry":    bytes.Replace(file, []byte("PK\x01\x02"), []byte("PK\x01\x03"), 1),
		"long name":       changed(file, bytes.LastIndex(file, []byte("PK\x01\x02"))+29, 1),
		"long extra data": changed(file, bytes.LastIndex(file, []byte("PK\x01\x02"))+31, 1),
	} {
		_, err := scan(broken)
		require.ErrorIs(t, err, zipfile.ErrNotZip, name)
	}
	broken := errors.New("the disk is broken")
	_, err := zipfile.Scan(failing{broken}, 1000, func([]byte) {})
	require.ErrorIs(t, err, broken)
}

func changed(file []byte, at int, to byte) []byte {
	file = bytes.Clone(file)
	file[at] = to
	return file
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// FuzzScan: no file makes Scan panic, and it finds as many entries as archive/zip
// in what both take.
func FuzzScan(f *testing.F) {
	f.Add(archive(f, "a", "b"))
	f.Fuzz(func(t *testing.T, file []byte) {
		names, err := scan(file)
		if err != nil {
			return
		}
		if z, err := zip.NewReader(bytes.NewReader(file), int64(len(file))); err == nil && len(z.File) != len(names) {
			t.Fatalf("%d names, %d entries", len(names), len(z.File))
		}
	})
}
