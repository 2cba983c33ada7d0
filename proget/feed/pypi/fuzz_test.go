package pypi

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// FuzzMetadata: whatever a file says of itself, what is accepted has a valid name
// and version.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Metadata-Version: 2.1\nName: a\nVersion: 1\nDescription: a\n       |b\n\nbody"))
	f.Add([]byte(" continued\r\rName: a\r\n\tb\nno header\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMetadata(text)
		if err != nil {
			if !errors.Is(err, proget.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if !validName.MatchString(m.name) || m.version.String() == "" || strings.ContainsAny(m.requiresPython(), "\r\n") {
			t.Fatalf("%q %q", m.name, m.version)
		}
		m.data()
	})
}

// FuzzFileName: a name that is accepted is safe in paths and addresses.
func FuzzFileName(f *testing.F) {
	f.Add("a_b-1.0-1-py2.py3-none-any.whl", "a-b", "1.0")
	f.Add("A.B-1.0-1.tar.gz", "a_b", "1.0.post1")
	f.Fuzz(func(t *testing.T, file, name, text string) {
		d, err := parseFileName(file)
		v, ok := parseVersion(text)
		if err != nil || !ok || d.belongsTo(name, v) != nil {
			return
		}
		if strings.ContainsAny(file, "/\\\r\n\x00 \"") || strings.HasPrefix(file, ".") || !strings.HasPrefix(nameKey(file), nameKey(name)) {
			t.Fatalf("%q is of %q %q", file, name, v)
		}
	})
}

// FuzzInspect: no archive makes it panic, and a refusal is the client's fault.
func FuzzInspect(f *testing.F) {
	const info = "Metadata-Version: 2.1\nName: a\nVersion: 1\n"
	var wheel, sdist bytes.Buffer
	z := zip.NewWriter(&wheel)
	for _, name := range []string{"METADATA", "WHEEL", "RECORD"} {
		w, _ := z.Create("a-1.dist-info/" + name)
		_, _ = io.WriteString(w, info+"Tag: py3-none-any\n")
	}
	_ = z.Close()
	g := gzip.NewWriter(&sdist)
	tw := tar.NewWriter(g)
	_ = tw.WriteHeader(&tar.Header{Name: "a-1/PKG-INFO", Size: int64(len(info)), Mode: 0o644})
	_, _ = io.WriteString(tw, info)
	_ = tw.Close()
	_ = g.Close()
	f.Add("a-1-py3-none-any.whl", wheel.Bytes())
	f.Add("a-1.tar.gz", sdist.Bytes())
	f.Add("", wheel.Bytes())
	f.Add("a-1.zip", []byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, name string, file []byte) {
		m, err := inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(file), Size: int64(len(file)), Name: name})
		if err != nil {
			if !errors.Is(err, proget.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if checkName(m.Name) != nil || !validFileName.MatchString(m.FileName) {
			t.Fatalf("%q %q", m.Name, m.FileName)
		}
	})
}

// FuzzForm: whatever is sent, reading ends, and it is the client's fault if it
// fails.
func FuzzForm(f *testing.F) {
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name=\"content\"; filename=\"a.whl\"\r\n\r\nfile\r\n--x--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		form, err := openForm(r)
		if err == nil {
			_, err = io.Copy(io.Discard, form)
		}
		if err != nil && !errors.Is(err, proget.ErrInvalid) {
			t.Fatal(err)
		}
		if err == nil && form.digest == "" {
			t.Fatal("a file without an end")
		}
	})
}

// FuzzRoutes: parsing a path ends, and only uploads change anything.
func FuzzRoutes(f *testing.F) {
	f.Add("GET", "simple/a%2Fb/")
	f.Add("POST", "legacy/")
	f.Fuzz(func(t *testing.T, method, path string) {
		rt := parse(method, path)
		if (operations[rt.action] == proget.TaskPublish) != (rt.action == uploadForm || rt.action == uploadFile) || strings.Contains(rt.name+rt.arg, "/") {
			t.Fatalf("%s %s: %v", method, path, rt)
		}
	})
}

// FuzzAccept: any header chooses something or nothing.
func FuzzAccept(f *testing.F) {
	f.Add("application/vnd.pypi.simple.v1+json;q=0.5, */*;q=0.1, text/html;q=NaN")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Accept"] = []string{header}
		if s, ok := negotiate(r); ok && s.contentType == "" {
			t.Fatal(header)
		}
	})
}
