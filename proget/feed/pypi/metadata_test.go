package pypi

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// stored is storage with one file in it, or none that can be read.
type stored struct {
	feed.Files
	file []byte
	err  error
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (s stored) Open(context.Context, proget.File) (feed.Content, error) {
	return content{bytes.NewReader(s.file)}, s.err
}

// TestDamagedWheel: metadata that is not what the index says is not served.
func TestDamagedWheel(t *testing.T) {
	t.Parallel()
	const text = "Metadata-Version: 2.1\nName: a\nVersion: 1\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"METADATA", "WHEEL", "RECORD"} {
		w, err := z.Create("a-1.dist-info/" + name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	r := &feed.Request{Request: &http.Request{}}
	for sum, file := range map[string][]byte{hexSum([]byte(text)): b.Bytes()[:b.Len()-1], hexSum([]byte("another")): b.Bytes(), hexSum(nil): nil} {
		_, err := (&handler{feed.Services{Files: stored{file: file}}}).readMetadata(r, proget.File{Name: "a-1.whl"}, sum)
		require.ErrorIs(t, err, proget.ErrUnavailable)
	}
	_, err := (&handler{feed.Services{Files: stored{err: proget.ErrNoSpace}}}).readMetadata(r, proget.File{}, "")
	require.ErrorIs(t, err, proget.ErrNoSpace)
	got, err := (&handler{feed.Services{Files: stored{file: b.Bytes()}}}).readMetadata(r, proget.File{}, hexSum([]byte(text)))
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// TestFieldsThatClientsSee: continuation lines, and what ends the header.
func TestFieldsThatClientsSee(t *testing.T) {
	t.Parallel()
	m, err := parseMetadata([]byte("Metadata-Version: 2.4\nname: A.b\nVERSION:1.0\nRequires-Dist: x;\n  extra == 'y'\nRequires-Dist: z\nDescription: one\n       |  two\n        three\nsummary: s\n\nbody: b\n\nend\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"x;\nextra == 'y'", "z"}, m.fields["requires-dist"])
	require.Equal(t, "one\n  two\nthree", m.text("description"))
	require.Equal(t, "body: b\n\nend\n", m.data().Description)
	text, err := json.Marshal(m.data())
	require.NoError(t, err)
	require.Equal(t, m.data(), readData(&proget.Version{Manifest: text}))
}
