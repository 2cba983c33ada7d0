package asset_test

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNotTheWhole: a body that says it is not the file as it is to be stored replaces
// nothing.
func TestNotTheWhole(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.must(201, "PUT", "content/f", "0123456789")
	for _, method := range []string{"PUT", "POST", "PATCH"} {
		for _, value := range []string{"bytes 4-7/10", "bytes 0-3/4", "junk"} {
			require.Contains(t, d.must(400, method, "content/f", "abcd", "Content-Range", value), "Content-Range", method)
		}
		for _, value := range []string{"gzip", "GZIP", "br", "identity, gzip"} {
			a := d.do(method, "content/f", "abcd", "Content-Encoding", value)
			require.Equal(t, 415, a.StatusCode, method)
			require.Equal(t, "identity", a.Header.Get("Accept-Encoding"))
		}
	}
	part := "content/f?multipart=upload&id=1&index=0&offset=0&totalSize=4&partSize=4&totalParts=1"
	d.must(415, "POST", part, "abcd", "Content-Encoding", "gzip")
	require.Equal(t, "0123456789", d.must(200, "GET", "content/f", ""))
	require.Equal(t, 1, d.Files(t), "nothing else was stored")
	d.must(200, "POST", part, "abcd", "Content-Range", "bytes 0-3/4") // its parameters say where it belongs
	d.must(201, "POST", "content/f", "abcd", "Content-Encoding", "Identity")
}

// TestClaims: a file is stored only if its digests are those that the client says it
// has.
func TestClaims(t *testing.T) {
	t.Parallel()
	d := start(t)
	const text = "the file"
	md, short, long := md5.Sum([]byte(text)), sha256.Sum256([]byte(text)), sha512.Sum512([]byte(text))
	code := base64.StdEncoding.EncodeToString
	short256, long512 := "sha-256=:"+code(short[:])+":", "sha-512=:"+code(long[:])+":"
	for _, right := range [][]string{
		{"Content-MD5", code(md[:])}, {"Content-Digest", short256}, {"Repr-Digest", long512}, {"Content-Digest", long512 + " , " + short256 + ";a=b"},
	} {
		d.must(201, "POST", "content/f", text, right...)
		require.Contains(t, d.must(400, "POST", "content/f", text+"!", right...), right[0])
	}
	for _, unknown := range []string{"md5=:AAAA:, crc32c=junk", "junk", ""} {
		d.must(201, "POST", "content/f", text, "Content-Digest", unknown)
	}
	for _, wrong := range [][]string{
		{"Content-MD5", "junk"}, {"Content-Digest", "sha-256=:junk:"}, {"Content-Digest", "sha-256"},
		{"Content-Digest", short256 + ", sha-512=" + short256[len("sha-256="):]},
	} {
		d.must(400, "POST", "content/f", text, wrong...)
		d.must(400, "PUT", "content/g", text, wrong...)
	}
	require.Equal(t, []string{"f"}, d.list(""))
	require.Equal(t, 1, d.Files(t), "what was refused is gone")
	require.Equal(t, text, d.must(200, "GET", "content/f", ""))
}
