package nuget

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIconAndLicense: what a package has of both is served and linked, so that a
// browser runs none of it; what is missing or no picture is not there.
func TestIconAndLicense(t *testing.T) {
	t.Parallel()
	const png = "\x89PNG\r\n\x1a\n and so on"
	spec := func(id, more string) entry {
		return entry{id + ".nuspec", `<package><metadata><id>` + id + `</id><version>1.0</version><authors>a</authors><description>d</description>` + more + `</metadata></package>`}
	}
	w := newWorld(t, nil)
	w.publish(zipped(t, spec("Acme", `<icon>images\logo.png</icon><iconUrl>https://elsewhere.example/</iconUrl><license type="file">LICENSE.md</license>`),
		entry{"images/logo.png", png}, entry{"LICENSE.md", "# Be good\n<script>"}))
	w.publish(zipped(t, spec("Missing", `<icon>logo.png</icon><license type="file">LICENSE</license>`)))
	w.publish(zipped(t, spec("Odd", `<icon>logo.svg</icon>`), entry{"logo.svg", "<svg onload='alert(1)'/>"}))
	w.publish(zipped(t, spec("Huge", `<icon>logo.png</icon>`), entry{"logo.png", png + strings.Repeat("x", maxExtra)}))
	w.publish(zipped(t, spec("Plain", `<iconUrl>https://elsewhere.example/logo.png</iconUrl><license type="expression">MIT</license>`)))

	icon := w.get("v3/flatcontainer/acme/1.0.0/icon")
	require.Equal(t, http.StatusOK, icon.Code)
	require.Equal(t, []string{png, "image/png", "nosniff"}, []string{icon.Body.String(), icon.Header().Get("Content-Type"), icon.Header().Get("X-Content-Type-Options")})
	require.Contains(t, icon.Header().Get("Content-Security-Policy"), "sandbox")
	require.Equal(t, http.StatusNotModified, w.do("GET", "v3/flatcontainer/acme/1.0.0/icon", nil, "If-None-Match", icon.Header().Get("ETag")).Code)
	license := w.get("v3/flatcontainer/acme/1.0.0/license")
	require.Equal(t, []string{"# Be good\n<script>", "text/markdown; charset=utf-8"}, []string{license.Body.String(), license.Header().Get("Content-Type")})
	for _, none := range []string{"missing/1.0.0/icon", "missing/1.0.0/license", "odd/1.0.0/icon", "huge/1.0.0/icon", "plain/1.0.0/icon", "plain/1.0.0/license", "nobody/1.0.0/icon"} {
		require.Equal(t, http.StatusNotFound, w.get("v3/flatcontainer/"+none).Code, none)
	}

	links := func(id string) []string {
		leaf := getJSON[registrationDocument](w, "v3/registration/"+id+"/index.json").Items[0].Items[0].CatalogEntry
		return []string{leaf.IconURL, leaf.LicenseURL}
	}
	at := w.base + "/v3/flatcontainer/acme/1.0.0/"
	require.Equal(t, []string{at + "icon", at + "license"}, links("acme"))
	require.Equal(t, []string{"https://elsewhere.example/logo.png", "https://licenses.nuget.org/MIT"}, links("plain"))
}
