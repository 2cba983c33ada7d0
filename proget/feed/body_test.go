package feed

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

const head = "--b\r\nContent-Disposition: form-data; name=\"package\"; filename=\"a.nupkg\"\r\nContent-Type: application/octet-stream\r\n\r\n"

func push(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPut, "/", body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	return r
}

// TestFormEnds: however a client ends its form, the file is what it sent; a
// form that does not end is refused.
func TestFormEnds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef\n", 1<<14)
	for _, file := range []string{"", "PK", "PK\n", "\n--b--\n.", "\n--b", long} {
		for _, end := range []string{"\r\n--b--\r\n", "\r\n--b--", "\n--b--\n", "\n--b--", "\n--b--\r\n"} {
			for _, slow := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
				b, err := OpenBody(push(slow(strings.NewReader(head + file + end))))
				require.NoError(t, err)
				got, err := io.ReadAll(b)
				require.NoError(t, err, "%.20q %q", file, end)
				require.Equal(t, file, string(got), "%q", end)
				require.Equal(t, "a.nupkg", b.Name)
			}
		}
		for _, end := range []string{"", "\n--b", "\n--b-", "\n--c--\n", "\r--b--"} {
			b, err := OpenBody(push(strings.NewReader(head + file + end)))
			require.NoError(t, err)
			_, err = io.ReadAll(b)
			require.ErrorIs(t, err, proget.ErrInvalid, "%.20q %q", file, end)
			require.ErrorContains(t, err, "ended before")
		}
	}
}

// TestFormCutOff: a body that fails is no body that ended.
func TestFormCutOff(t *testing.T) {
	t.Parallel()
	b, err := OpenBody(push(io.MultiReader(strings.NewReader(head+"PK\n--b--\n"), iotest.ErrReader(errors.New("reset")))))
	require.NoError(t, err)
	_, err = io.ReadAll(b)
	require.ErrorIs(t, err, proget.ErrInvalid)
}

// FuzzForm: a form's file arrives as it was sent, whatever is in it.
func FuzzForm(f *testing.F) {
	f.Add([]byte("PK"), true)
	f.Add([]byte("\n--b--\n"), false)
	f.Fuzz(func(t *testing.T, file []byte, bare bool) {
		if bytes.Contains(file, []byte("--b")) {
			return // the boundary is none then
		}
		end := "\r\n--b--\r\n"
		if bare {
			file = bytes.TrimRight(file, "\r")
			end = end[1:]
		}
		b, err := OpenBody(push(io.MultiReader(strings.NewReader(head), bytes.NewReader(file), strings.NewReader(end))))
		require.NoError(t, err)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, string(file), string(got))
	})
}
