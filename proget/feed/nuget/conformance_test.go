package nuget

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, typ := range []feed.Type{New(nil), Chocolatey(nil), PowerShell(nil)} {
		t.Run(typ.Name, func(t *testing.T) {
			t.Parallel()
			feedtest.Run(t, suite(typ))
		})
	}
}

func suite(typ feed.Type) feedtest.Suite {
	return feedtest.Suite{
		Type: typ,
		Push: func(t testing.TB, base, name, version string) (*http.Request, []byte) {
			file := simple(t, name, version)
			return feedtest.Request(t, http.MethodPut, base+"/api/v2/package/", file), file
		},
		SignIn: func(r *http.Request, key string) { r.Header.Set("X-NuGet-ApiKey", key) },
		Documents: func(base, name string) []string {
			id := strings.ToLower(name)
			return []string{
				base + "/v3/flatcontainer/" + id + "/index.json", base + "/v3/registration/" + id + "/index.json",
				base + "/v2/FindPackagesById()?id=" + fmt.Sprintf("'%s'", name) + "&semVerLevel=2.0.0",
			}
		},
		Download: func(base, name, version string) string {
			id, key := strings.ToLower(name), versionKey(version)
			return base + "/v3/flatcontainer/" + id + "/" + key + "/" + id + "." + key + ".nupkg"
		},
		Versions: []feedtest.Version{{Text: "1.0.0"}, {Text: "1.0.0.1"}, {Text: "1.9.0"}, {Text: "1.10.0-beta.2", Prerelease: true}, {Text: "1.10.0-beta.10", Prerelease: true}, {Text: "1.10.0"}},
		Name:     "Acme.Lib", Three: [3]string{"1.0.0", "2.1.0-beta.7", "3.0.1.4"},
		Names: [][2]string{
			{"a", "0.0.0"}, {"_", "1.0.0"}, {"A-b_C.9", "1.0.0-rc.1"}, {strings.Repeat("x", 100), "1.2.3.4"}, {"index.json", "1.0.0"},
			{"Packages", "1.0.0-" + strings.Repeat("a", 58)}, {"v2", "2147483647.0.0"}, {"build", "1.0.0-a+build.5"},
		},
		Refused: func(t testing.TB, base string) map[string]*http.Request {
			all := map[string]*http.Request{
				"several files": feedtest.Request(t, http.MethodPut, base+"/api/v2/package", []byte("--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nx\r\n--b\r\n"+
					"Content-Disposition: form-data; name=\"b\"; filename=\"b\"\r\n\r\nx\r\n--b--\r\n"), "Content-Type", "multipart/form-data; boundary=b"),
				"a form without an end": feedtest.Request(t, http.MethodPut, base+"/api/v2/package", []byte("--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nx"), "Content-Type", "multipart/form-data; boundary=b"),
				"a method":              feedtest.Request(t, http.MethodPost, base+"/v3/index.json", nil),
				"an unknown version":    feedtest.Request(t, http.MethodDelete, base+"/api/v2/package/no/1.0.0", nil),
			}
			for name, c := range hostile(t) {
				all[name] = feedtest.Request(t, http.MethodPut, base+"/api/v2/package", c.pkg)
			}
			return all
		},
	}
}
