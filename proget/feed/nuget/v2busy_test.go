package nuget

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// fill adds packages with one version each.
func (w *world) fill(packages int) {
	for n := range packages {
		require.NoError(w.t, w.add(&proget.Version{Name: fmt.Sprintf("P%05d", n), Version: "1.0", Key: "1.0.0", Status: proget.Status{Listed: true},
			Manifest: []byte(`{"id":"P","version":"1.0","tags":["a","b"]}`)}))
	}
}

// A stalled is the response of a client that reads nothing until it is told to.
type stalled struct {
	*httptest.ResponseRecorder
	writing *sync.WaitGroup // done with the first write
	read    chan struct{}   // closed when the client reads
}

func (s *stalled) Write(p []byte) (int, error) {
	s.writing.Done()
	<-s.read
	return s.ResponseRecorder.Write(p)
}

// TestV2Stalled: clients that do not read their large answers keep nobody else waiting,
// until the answers of all of them are too much to be kept in memory.
func TestV2Stalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.fill(300)
		large := v2URL("v2/Packages()", "$top", "290")
		var writing, done sync.WaitGroup
		read := make(chan struct{})
		for range 2 {
			writing.Add(1)
			done.Go(func() {
				client := &stalled{httptest.NewRecorder(), &writing, read}
				w.ServeHTTP(client, httptest.NewRequestWithContext(t.Context(), "GET", "/nuget/main/"+large, nil))
			})
		}
		writing.Wait()
		entries := func(path string) int {
			rec := w.get(path)
			require.Equal(t, http.StatusOK, rec.Code, rec.Body)
			var page atomPage
			require.NoError(t, xml.Unmarshal(rec.Body.Bytes(), &page))
			return len(page.Entries)
		}
		require.Equal(t, 290, entries(large))
		close(read)
		done.Wait()

		unsent := w.handler.(*handler).unsent
		require.True(t, unsent.TryAcquire(v2MaxUnsent), "those that are sent count no longer")
		rec := w.get(large)
		require.Equal(t, http.StatusServiceUnavailable, rec.Code)
		require.Contains(t, rec.Body.String(), "busy")
		require.Equal(t, 100, entries("v2/Packages()"), "a page needs no place")
		unsent.Release(v2MaxUnsent)
		require.Equal(t, 290, entries(large))
	})
}

// TestV2Scans: an answer for which all packages are looked at waits for a place, and is
// refused if there is none for long; one for which few are looked at needs none.
func TestV2Scans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.fill(300)
		scans := []string{
			"v2/Packages()/$count", v2URL("v2/Packages()", "$inlinecount", "allpages", "$top", "1"), v2URL("v2/Packages()", "$orderby", "Published", "$top", "1"),
			v2URL("v2/Packages()", "$filter", "Id ge 'x'"), "v2/Search()/$count",
		}
		few := []string{"v2/Packages()", v2URL("v2/Packages()", "$skip", "100"), v2URL("v2/FindPackagesById()", "id", "'P00001'", "$orderby", "Version desc", "$top", "6000")}
		gate := w.handler.(*handler).large
		for range cap(gate) {
			require.NoError(t, gate.Enter(t.Context(), "tests"))
		}
		for _, path := range scans {
			require.Equal(t, http.StatusServiceUnavailable, w.get(path).Code, path)
		}
		for _, path := range few {
			require.Equal(t, http.StatusOK, w.get(path).Code, path)
		}
		for range cap(gate) {
			gate.Leave()
		}
		for _, path := range append(scans, few...) {
			require.Equal(t, http.StatusOK, w.get(path).Code, path)
		}
		require.Empty(t, gate, "all places were given back")
	})
}
