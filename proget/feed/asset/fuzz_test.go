package asset

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proget-go/ha/proget"
)

// FuzzPath: whatever is accepted is a place below the directory, for every client,
// and is accepted again.
func FuzzPath(f *testing.F) {
	for _, text := range []string{"a/b.txt", `a\..\b`, "/../x", "a/.. /b", "Ⱥ/İ", "a//b", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := readPath(text)
		if err != nil || p == "" {
			return
		}
		again, err := readPath(string(p))
		if err != nil || again != p {
			t.Fatalf("%q became %q: %v", p, again, err)
		}
		if !filepath.IsLocal(string(p)) || strings.ContainsAny(string(p), "\\\r\n\x00") || len(p.folderKey()) > maxPath {
			t.Fatalf("%q", p)
		}
		if parent, name := p.split(); parent.join(path(name)) != p || !strings.HasPrefix(p.key(), parent.folderKey()) {
			t.Fatalf("%q is %q in %q", p, name, parent)
		}
	})
}

// FuzzMetadata: what is accepted can be kept and read again, and what it sends is
// one line of a header.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"type":"text/plain","userMetadata":{"a":"b","X-C":{"value":"d","includeInResponseHeader":true}},"cacheHeader":{"type":"ttl","value":"60"}}`))
	f.Add([]byte(`{"userMetadataUpdateMode":"replace","cacheHeader":{"custom":"no-cache"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := readUpdate(bytes.NewReader(body))
		if err != nil {
			if proget.Message(err) == "" {
				t.Fatal(err)
			}
			return
		}
		d, err := u.apply(data{})
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(text)
		if err != nil || again.CacheHeader.header() != d.CacheHeader.header() || len(again.UserMetadata) != len(d.UserMetadata) || again.Type != d.Type {
			t.Fatalf("%s became %+v: %v", text, again, err)
		}
		headers := d.Type + d.CacheHeader.header()
		for key, m := range d.UserMetadata {
			if m.Include {
				headers += key + m.Value
			}
		}
		if strings.ContainsAny(headers, "\r\n\x00") {
			t.Fatalf("%q", headers)
		}
	})
}

// FuzzArchive: no archive makes the reading panic, and what is wrong is said in a
// sentence.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("PK\x05\x06"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, err := range []error{
			readZip(bytes.NewReader(b), int64(len(b)), drain),
			readTar(t.Context(), bytes.NewReader(b), int64(len(b)), drain),
		} {
			if err != nil && proget.Message(err) == "" {
				t.Fatal(err)
			}
		}
	})
}

// drain reads an item as an import does, but not without end.
func drain(i packed) error {
	if _, err := readPath(i.name); err != nil || i.dir {
		return err
	}
	_, err := io.Copy(io.Discard, checkedReader{io.LimitReader(i.content, 1<<20)})
	return err
}
