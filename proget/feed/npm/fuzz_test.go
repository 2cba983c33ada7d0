package npm

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzDocument: whatever is sent, reading ends, and a tarball that was read to
// its end belongs to a document that is whole.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"name":"a","_attachments":{"a-1.0.0.tgz":{"data":"QUJD","length":3}}}`))
	f.Add([]byte(`{"_attachments":{"a.tgz":{"length":3,"data":"QU\/D"},"b":{}},"versions":{}} `))
	f.Add([]byte(`{"a":[{"b":"\""}],"_attachments":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := openDocument(bytes.NewReader(body))
		if err != nil || d.tarball == "" {
			return
		}
		n, err := io.Copy(io.Discard, d)
		if err == nil && (n != d.read || bytes.LastIndexByte(bytes.TrimSpace(body), '}') != len(bytes.TrimSpace(body))-1) {
			t.Fatalf("%d bytes of %q", n, body)
		}
	})
}

// FuzzTarball: no file makes inspect panic, and what it accepts has a valid
// name, a file name without a path, and a folder of commands that is within it.
func FuzzTarball(f *testing.F) {
	f.Add([]byte(`{"name":"a","version":"1.0.0","bin":"x","scripts":{"install":1}}`))
	f.Add([]byte(`{"name":"@a/b","version":"v1.0.0-x+y","bundledDependencies":["c"]}`))
	f.Add([]byte(`{"name":"a","version":"1.0.0","directories":{"bin":"..\\.:/b"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := readPackageJSON(body)
		if err != nil {
			return
		}
		p.build()
		if folder := p.binFolder(); folder != "" && (!strings.HasPrefix(folder, "/") || strings.Contains(folder, "/../")) {
			t.Fatalf("%q", folder)
		}
		if checkName(p.name) != nil || bytes.ContainsAny([]byte(fileName(p.name, p.version)), "/\\\r\n") {
			t.Fatalf("%q %q", p.name, p.version)
		}
	})
}
