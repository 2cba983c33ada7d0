package testenv

import (
	"archive/zip"
	"bytes"
	"fmt"
	"testing"
)

// Nupkg returns a small NuGet package.
func Nupkg(t testing.TB, id, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(id + ".nuspec")
	if err == nil {
		_, err = fmt.Fprintf(w, `<?xml version="1.0"?><package><metadata><id>%s</id><version>%s</version><authors>a</authors><description>Some library for tests.</description></metadata></package>`, id, version)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
