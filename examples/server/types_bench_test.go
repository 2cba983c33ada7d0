package main_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A workload is what clients of a feed type ask for.
type workload struct {
	// publish publishes a version of about 10 KiB, name and number in lower case.
	publish func(r *rival, name, version string) error

	// document is the path of what tells of a package's versions.
	document func(name string) string
}

// archive makes a zip of pairs of names and contents.
func archive(b testing.TB, files ...string) []byte {
	b.Helper()
	var text bytes.Buffer
	z := zip.NewWriter(&text)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(b, err)
		_, err = w.Write([]byte(files[i+1]))
		require.NoError(b, err)
	}
	require.NoError(b, z.Close())
	return text.Bytes()
}

// workloads are those of every type, by the path of a feed of it.
var workloads = map[string]workload{
	"/nuget/nuget": {
		publish: func(r *rival, name, version string) error {
			nuspec := "<package><metadata><id>" + name + "</id><version>" + version + "</version><authors>a</authors><description>A library.</description></metadata></package>"
			_, err := r.send(http.MethodPut, "/api/v2/package", archive(r.b, name+".nuspec", nuspec, "lib/a.dll", string(noise(1, 10<<10))))
			return err
		},
		document: func(name string) string { return "/v3/registration/" + name + "/index.json" },
	},
	"/npm/npm": {
		publish:  func(r *rival, name, version string) error { return r.publishNPM(name, version, 10<<10, nil) },
		document: func(name string) string { return "/" + name },
	},
	"/pypi/pypi": {
		publish: func(r *rival, name, version string) error {
			info := name + "-" + version + ".dist-info/"
			wheel := archive(r.b, name+".py", string(noise(1, 10<<10)), info+"METADATA", "Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\nSummary: A library.\n",
				info+"WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n", info+"RECORD", "")
			_, err := r.send(http.MethodPut, "/upload/"+name+"-"+version+"-py3-none-any.whl", wheel)
			return err
		},
		document: func(name string) string { return "/simple/" + name + "/" },
	},
	"/maven2/maven": {
		publish: func(r *rival, name, version string) error {
			at := "/acme/" + name + "/" + version + "/" + name + "-" + version
			if _, err := r.send(http.MethodPut, at+".jar", archive(r.b, "A.class", string(noise(1, 10<<10)))); err != nil {
				return err
			}
			_, err := r.send(http.MethodPut, at+".pom", []byte("<project><modelVersion>4.0.0</modelVersion><groupId>acme</groupId><artifactId>"+name+"</artifactId><version>"+version+"</version></project>"))
			return err
		},
		document: func(name string) string { return "/acme/" + name + "/maven-metadata.xml" },
	},
	"/upack/universal": {
		publish: func(r *rival, name, version string) error {
			_, err := r.send(http.MethodPut, "/upload", archive(r.b, "upack.json", `{"name":"`+name+`","version":"`+version+`"}`, "package/a", string(noise(1, 10<<10))))
			return err
		},
		document: func(name string) string { return "/versions?name=" + name },
	},
}

// BenchmarkTypes measures each type by itself: publications by 8 clients, documents
// of 10 and 500 versions that are in memory, and ones that are not.
func BenchmarkTypes(b *testing.B) {
	for path, work := range workloads {
		p := start(b)
		r := &rival{Process: p, base: p.URL + path, key: apiKey, b: b}
		measure := func(name string, clients int, do func(n int64) error) {
			b.Run(path[1:]+"/"+name, func(b *testing.B) {
				r.cpu, r.times = 0, nil
				r.turn(b, clients, b.N, true, do)
				r.report(b, "")
			})
		}
		measure("publish", 8, func(n int64) error { return work.publish(r, fmt.Sprintf("new%d", n), "1.0.0") })
		for _, versions := range []int{10, 500} {
			name := fmt.Sprintf("lib%d", versions)
			for n := range versions {
				require.NoError(b, work.publish(r, name, fmt.Sprintf("1.%d.0", n)))
			}
			measure(fmt.Sprintf("%d versions", versions), 16, func(int64) error {
				_, err := r.send(http.MethodGet, work.document(name), nil)
				return err
			})
		}
		const packages = 300
		for n := range packages {
			require.NoError(b, work.publish(r, fmt.Sprintf("cold%d", n), "1.0.0"))
		}
		var asked int
		b.Run(path[1:]+"/cold", func(b *testing.B) {
			n := min(b.N, packages-asked)
			if n == 0 {
				b.Skip("each is cold once: use -benchtime 200x")
			}
			first := asked
			asked += n
			r.cpu, r.times = 0, nil
			began := r.count.Load()
			r.turn(b, 16, n, true, func(n int64) error {
				_, err := r.send(http.MethodGet, work.document(fmt.Sprintf("cold%d", first+int(n-began)-1)), nil)
				return err
			})
			r.report(b, "")
		})
	}
}

// TestWorkloads: what the benchmarks of types send is what these take.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	p := start(t)
	for path, work := range workloads {
		r := &rival{Process: p, base: p.URL + path, key: apiKey, b: t}
		require.NoError(t, work.publish(r, "lib", "1.0.0"), path)
		resp, err := r.send(http.MethodGet, work.document("lib"), nil)
		require.NoError(t, err)
		require.NotEmpty(t, resp.Header.Get("ETag"), path)
	}
}
