package load

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// A listing is the content of a list: keys in its order, which may repeat one.
type listing []listed

type listed struct {
	key string
	history.Entry
}

// A protocol tells how clients of one feed request the operations. A function is nil if
// the type has no such request.
type protocol struct {
	feed   string
	push   func(ctx context.Context, c *Client, name, key string) (digest string, a answer)
	list   func(ctx context.Context, c *Client, name string) (listing, answer)
	read   func(ctx context.Context, c *Client, name, key string) answer
	remove func(ctx context.Context, c *Client, name, key string) answer
	unlist func(ctx context.Context, c *Client, name, key string) answer
	tag    func(ctx context.Context, c *Client, name, tag, version string) answer
	search func(ctx context.Context, c *Client, name string) (found bool, a answer)

	overwrites bool // push overwrites
	forgives   bool // remove succeeds even if there is nothing
	marks      bool // unlist only marks, and searches find what is marked
}

// protocols returns the protocols of all feeds that a new cluster has.
func protocols() []protocol {
	return []protocol{
		nuGet("nuget"), nuGet("chocolatey"), nuGet("powershell"), npm(), pyPI(), maven(), universal(), docker(), asset(),
	}
}

// noise returns the unique content of a package.
func noise() []byte {
	b := make([]byte, 2<<10)
	_, _ = rand.Read(b) // never fails
	return b
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// zipOf returns an archive of pairs of names and contents. Writing to memory does not
// fail.
func zipOf(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, _ := z.Create(files[i])
		_, _ = w.Write([]byte(files[i+1]))
	}
	_ = z.Close()
	return b.Bytes()
}

// tarballOf is like zipOf for a compressed tar archive.
func tarballOf(files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		_ = w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg})
		_, _ = w.Write([]byte(files[i+1]))
	}
	_, _ = w.Close(), z.Close()
	return b.Bytes()
}

// byNativeAPI removes versions as ProGet's own client does.
func byNativeAPI(feed, prefix string) func(ctx context.Context, c *Client, name, key string) answer {
	return func(ctx context.Context, c *Client, name, key string) answer {
		return c.remove(ctx, feed, prefix+name, key)
	}
}

// none turns the answer that a package is missing into that of an empty list.
func (a *answer) none() answer {
	if a.outcome() != history.Missing {
		return *a
	}
	return answer{status: 200, header: a.header}
}

func unreadable(format string, args ...any) answer {
	return answer{status: -1, body: fmt.Appendf(nil, format, args...)}
}
