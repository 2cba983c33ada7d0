package nuget

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const view, publish, manage = proget.TaskView, proget.TaskPublish, proget.TaskManage
	for _, c := range []struct {
		method, path string
		want         route
		task         proget.Task
	}{
		{"GET", "v3/index.json", route{action: serviceIndex}, view},
		{"HEAD", "v3/index.json", route{action: serviceIndex}, view},
		{"GET", "v3/search", route{action: searchPackages}, view},
		{"GET", "v3/search/", route{action: searchPackages}, view},
		{"GET", "v3/autocomplete", route{action: autocomplete}, view},

		{"GET", "v3/flatcontainer/Acme.Lib/index.json", route{action: contentVersions, id: "acme.lib"}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg", route{action: contentPackage, id: "acme.lib", version: "1.0.0"}, view},
		{"GET", "v3/flatcontainer/Acme.Lib/1.0-B/acme.lib.1.0-b.NUPKG", route{action: contentPackage, id: "acme.lib", version: "1.0.0-b"}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0%2B5/acme.lib.1.0+5.nupkg", route{action: contentPackage, id: "acme.lib", version: "1.0.0"}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0.0/acme.lib.nuspec", route{action: contentNuspec, id: "acme.lib", version: "1.0.0"}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0.0/readme", route{action: contentReadme, id: "acme.lib", version: "1.0.0"}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0.0/other.1.0.0.nupkg", route{}, view},
		{"GET", "v3/flatcontainer/acme.lib/1.0.0", route{}, view},
		{"GET", "v3/flatcontainer/acme.lib", route{}, view},
		{"GET", "v3/flatcontainer", route{}, view},
		{"GET", "v3/flatcontainer/a/1.0.0/x/a.nuspec", route{}, view},

		{"GET", "v3/registration/Acme/index.json", route{action: registrationIndex, hive: semVer2Hive, id: "acme"}, view},
		{"GET", "v3/registration-semver1/acme/index.json", route{action: registrationIndex, hive: semVer1Hive, id: "acme"}, view},
		{"GET", "v3/registration/acme/1.0.json", route{action: registrationLeaf, hive: semVer2Hive, id: "acme", version: "1.0.0"}, view},
		{"GET", "v3/registration/acme/page/1.0.0/2.0.0.json", route{action: registrationPage, hive: semVer2Hive, id: "acme", lower: "1.0.0", upper: "2.0.0"}, view},
		{"GET", "v3/registration/acme/page/1.0.0/2.0.0", route{}, view},
		{"GET", "v3/registration/acme/page/1.0.0.json", route{}, view},
		{"GET", "v3/registration/acme/.json", route{}, view},
		{"GET", "v3/registration/index.json", route{}, view},
		{"GET", "v3/registration-other/acme/index.json", route{}, view},

		{"PUT", "", route{action: pushPackage}, publish},
		{"PUT", "api/v2/package", route{action: pushPackage}, publish},
		{"PUT", "api/v2/package/", route{action: pushPackage}, publish},
		{"PUT", "v3/index.json", route{}, view},
		{"PUT", "api/v2/package/a/1.0", route{}, view},

		{"DELETE", "api/v2/package/Acme/1.0", route{action: unlistVersion, id: "acme", version: "1.0.0"}, manage},
		{"DELETE", "api/v2/package/Acme/1.0/", route{action: unlistVersion, id: "acme", version: "1.0.0"}, manage},
		{"DELETE", "Acme/1.0", route{action: unlistVersion, id: "acme", version: "1.0.0"}, manage},
		{"DELETE", "api/v2/package/Acme", route{}, view},
		{"DELETE", "api/v2/package", route{}, view},
		{"DELETE", "", route{}, view},
		{"DELETE", "v3/index.json", route{}, view},
		{"DELETE", "api/v2", route{}, view},
		{"POST", "v3/search", route{}, view},
		{"POST", "api/v2/package/Acme/1.0", route{action: relistVersion, id: "acme", version: "1.0.0"}, manage},
		{"POST", "Acme/1.0", route{action: relistVersion, id: "acme", version: "1.0.0"}, manage},
		{"POST", "api/v2/package", route{}, view},

		{"GET", "", route{action: v2Service}, view},
		{"GET", "v2/", route{action: v2Service}, view},
		{"GET", "api/v2", route{action: v2Service}, view},
		{"GET", "v2/$metadata", route{action: v2Metadata}, view},
		{"GET", "Packages", route{action: v2Packages}, view},
		{"GET", "v2/Packages()", route{action: v2Packages}, view},
		{"GET", "v2/Packages()/$count", route{action: v2Packages, count: true}, view},
		{"GET", "v2/Packages/$count", route{action: v2Packages, count: true}, view},
		{"GET", "v2/FindPackagesById()", route{action: v2Find}, view},
		{"GET", "Search()/$count", route{action: v2Search, count: true}, view},
		{"GET", "api/v2/GetUpdates()", route{action: v2Updates}, view},
		{"GET", "v2/Packages(Id='Acme.Lib',Version='1.0')", route{action: v2Entry, id: "acme.lib", version: "1.0.0"}, view},
		{"GET", "v2/Packages(Version='1.0',%20Id='Acme''s')", route{action: v2Entry, id: "acme's", version: "1.0.0"}, view},
		{"GET", "v2/Packages(Id='a',Version='1.0')/$value", route{action: contentPackage, id: "a", version: "1.0.0"}, view},
		{"GET", "v2/package/Acme/1.0", route{action: contentPackage, id: "acme", version: "1.0.0"}, view},
		{"GET", "api/v2/package/Acme/1.0", route{action: contentPackage, id: "acme", version: "1.0.0"}, view},
		{"GET", "v2/package/Acme", route{}, view},
		{"GET", "v2/Packages(", route{}, view},
		{"GET", "v2/Packages()/x", route{}, view},
		{"GET", "v2/Packages(Id='a')", route{}, view},
		{"GET", "v2/Packages(Id='a',Version='x')", route{}, view},
		{"GET", "v2/Search(Id='a',Version='1.0')", route{}, view},
		{"GET", "v2/$batch", route{}, view},
		{"GET", "v2/Others", route{}, view},
		{"PUT", "v2/", route{action: pushPackage}, publish},
		{"PUT", "v2/package", route{action: pushPackage}, publish},
		{"DELETE", "v2/Acme/1.0", route{action: unlistVersion, id: "acme", version: "1.0.0"}, manage},
		{"DELETE", "v2/1.0", route{action: unlistVersion, id: "v2", version: "1.0.0"}, manage},
		{"GET", "/", route{action: v2Service}, view},
		{"GET", "v3", route{}, view},
		{"GET", "v3/", route{}, view},
		{"GET", "v3/index.json/x", route{}, view},
		{"GET", "v3/flatcontainer//index.json", route{}, view},
		{"GET", "v3/flatcontainer/a%2fb/index.json", route{}, view},
		{"GET", "v3/flatcontainer/a%5Cb/index.json", route{}, view},
		{"GET", "v3/flatcontainer/a%00/index.json", route{}, view},
		{"GET", "v3/flatcontainer/a%zz/index.json", route{}, view},
		{"PATCH", "api/v2/package", route{}, view},
		{"OPTIONS", "v3/index.json", route{}, view},
	} {
		got := parse(c.method, c.path)
		require.Equal(t, c.want, got, "%s %s", c.method, c.path)
		task, err := operations.Task(got.action)
		require.NoError(t, err)
		require.Equal(t, c.task, task, "%s %s", c.method, c.path)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("GET", "v3/flatcontainer/a/1.0.0/a.1.0.0.nupkg")
	f.Add("DELETE", "api/v2/package/a/%2e%2e")
	f.Fuzz(func(t *testing.T, method, path string) {
		r := parse(method, path)
		require.NotContains(t, r.id, "/")
		require.NotContains(t, r.version, "/")
	})
}
