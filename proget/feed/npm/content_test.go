package npm

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// TestContent: whatever is encoded is decoded, in whatever pieces it comes and is
// asked for, and what is not base64 is refused.
func TestContent(t *testing.T) {
	t.Parallel()
	chunk := len(content{}.bytes)
	for _, size := range []int{0, 1, 2, 3, 4, chunk - 3, chunk - 2, chunk - 1, chunk, chunk + 1, chunk + 2, chunk + 3, 2 * chunk, 2*chunk + 1} {
		want := bytes.Repeat([]byte{0xff, 0xfe, 0xfd, 0xff, 0xff}, size)[:size] // many slashes
		text := base64.StdEncoding.EncodeToString(want)
		for _, written := range []string{text, strings.ReplaceAll(text, "/", `\/`)} {
			for name, in := range map[string]io.Reader{"whole": strings.NewReader(written + `", more`), "by bytes": iotest.OneByteReader(strings.NewReader(written + `", more`))} {
				r := bufio.NewReaderSize(in, 16)
				got, err := io.ReadAll(iotest.OneByteReader(&content{in: r}))
				require.NoError(t, err, "%d bytes %s", size, name)
				require.Equal(t, want, append([]byte{}, got...), "%d bytes %s", size, name)
				rest, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, ", more", string(rest))
			}
		}
	}
	long := strings.Repeat("A", len(content{}.text))
	for _, bad := range []string{"AAA", "AA==AAAA", "A A=", `AA\u0041A`, long + "AAA", long[:len(long)-1] + "=AAAA", long[:len(long)-2] + "==AAAA"} {
		_, err := io.ReadAll(&content{in: bufio.NewReader(strings.NewReader(bad + `"`))})
		d := &document{content: &content{in: bufio.NewReader(strings.NewReader(bad + `"`))}}
		_, read := d.Read(make([]byte, 2*chunk))
		for read == nil {
			_, read = d.Read(make([]byte, 2*chunk))
		}
		require.Error(t, err, bad)
		require.ErrorIs(t, read, proget.ErrInvalid, bad)
	}
	_, err := io.ReadAll(&content{in: bufio.NewReader(unended{strings.NewReader("AAAA")})})
	require.ErrorIs(t, err, errEnd, "the quote is missing")
}
