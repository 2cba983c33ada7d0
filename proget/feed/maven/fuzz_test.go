package maven

import (
	"archive/zip"
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/proget-go/ha/proget/feed"
)

// FuzzPOM: no text makes reading a POM panic, and what is read is bounded by what
// came.
func FuzzPOM(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("\xff\xfe<\x00a\x00>\x00"))
	f.Add([]byte(`<?xml version="1.0" encoding="iso-8859-1"?><project><properties><a>${a}</a></properties></project>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := readPOM(text, lib)
		if err == nil && len(d.Name)+len(d.Description) > 4*len(text)+maxExpanded {
			t.Fatalf("%d bytes of %d", len(d.Name)+len(d.Description), len(text))
		}
	})
}

// FuzzPath: whatever a request's path is, what it is taken for lies in one folder
// and has a name without a path.
func FuzzPath(f *testing.F) {
	f.Add("com/acme/lib/1.0/lib-1.0-sources.jar.sha1")
	f.Add("com/acme/lib/1.0-SNAPSHOT/lib-1.0-20240131.120000-1.tar.gz.asc")
	f.Add("%2e%2e/a//%2f/maven-metadata.xml")
	f.Fuzz(func(t *testing.T, path string) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost} {
			rt := parse(method, path)
			folder(rt.segments).version()
			loc, err := locate(rt.segments)
			if err != nil {
				continue
			}
			d := loc.describe()
			if strings.ContainsAny(loc.name()+loc.version+loc.file, "/\\\r\n\x00") || strings.Join(rt.segments, "/") != strings.ReplaceAll(loc.group, ".", "/")+"/"+loc.artifact+"/"+loc.version+"/"+loc.file || strings.Contains(d.Extension, "/") {
				t.Fatalf("%q: %+v", path, loc)
			}
		}
	})
}

// FuzzJar: no archive makes inspect panic, and a plugin that it finds has a prefix.
func FuzzJar(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.CreateHeader(&zip.FileHeader{Name: descriptor, Method: zip.Store})
	_, _ = w.Write([]byte("<plugin><groupId>com.acme</groupId><artifactId>lib</artifactId><goalPrefix>x</goalPrefix></plugin>"))
	_ = z.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := inspect(context.Background(), feed.File{ReaderAt: bytes.NewReader(file), Size: int64(len(file)), Name: "com/acme/lib/1.0/lib-1.0.jar"})
		if err != nil {
			return
		}
		if p := m.FileData.(*fileData).Plugin; p != nil && p.Prefix == "" {
			t.Fatal("a plugin without a prefix")
		}
	})
}

// FuzzChecksum: what is taken for a checksum has its length.
func FuzzChecksum(f *testing.F) {
	f.Add([]byte("SHA1 (a) = da39a3ee5e6b4b0d3255bfef95601890afd80709"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sum, err := readChecksum(bytes.NewReader(text), "sha1")
		if err == nil && len(sum) != 40 {
			t.Fatal(sum)
		}
	})
}
