package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// fetch gets a document over a kept connection.
func fetch(b *testing.B, client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("%s: %s", url, resp.Status)
	}
}

func BenchmarkPush(b *testing.B) {
	base := newWorld(b).start(b, "a").URL
	for n := 0; b.Loop(); n++ {
		resp, text := ask(b, "PUT", base+"/nuget/nuget/api/v2/package", nupkg(b, "Acme.Lib", fmt.Sprintf("1.0.%d", n)), "X-NuGet-ApiKey", apiKey)
		require.Equal(b, http.StatusCreated, resp.StatusCode, text)
	}
}

// BenchmarkRegistration asks for a document that is in memory; each request
// still waits for an answer of the database about what is new.
func BenchmarkRegistration(b *testing.B) {
	base := newWorld(b).start(b, "a").URL + "/nuget/nuget"
	for n := range 50 {
		_, _ = ask(b, "PUT", base+"/api/v2/package", nupkg(b, "Acme.Lib", fmt.Sprintf("1.0.%d", n)), "X-NuGet-ApiKey", apiKey)
	}
	for _, readers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers, DisableCompression: true}}
			b.SetParallelism(readers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					fetch(b, client, base+"/v3/registration/acme.lib/index.json")
				}
			})
		})
	}
}

func BenchmarkDownload(b *testing.B) {
	base := newWorld(b).start(b, "a").URL + "/upack/universal"
	file := archive(b, "upack.json", `{"name":"big","version":"1.0.0"}`, "package/data", string(bytes.Repeat([]byte("0123456789abcdef"), 1<<20)))
	_, _ = ask(b, "PUT", base+"/upload", file, "X-ApiKey", apiKey)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		fetch(b, http.DefaultClient, base+"/download/big/1.0.0")
	}
}
