package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/proget-go/ha/proget/feed"
)

//go:embed static
var staticFiles embed.FS

const assetPath = "/static/"

// assets are the stylesheet and its companions. The name in an asset's URL contains a
// digest of its content, so that browsers may cache it for ever and still get each
// release's own, even while a cluster runs two releases.
type assets struct {
	urls   map[string]string         // by file name
	served map[string]*feed.Document // by hashed name
	latest map[string]*feed.Document // by file name; served for an unknown digest
}

func loadAssets() (*assets, error) {
	a := &assets{urls: make(map[string]string), served: make(map[string]*feed.Document), latest: make(map[string]*feed.Document)}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		body, err := staticFiles.ReadFile("static/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("read the asset %s: %w", file.Name(), err)
		}
		a.add(file.Name(), body)
	}
	return a, nil
}

func (a *assets) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	base, ext, _ := strings.Cut(name, ".")
	hashed := base + "." + hex.EncodeToString(sum[:6]) + "." + ext
	d := feed.NewDocument(mime.TypeByExtension("."+ext), body)
	a.urls[name], a.served[hashed], a.latest[name] = assetPath+hashed, d, d
}

// ServeHTTP serves an asset. A digest that this release does not know comes from a page
// of another node's release: ServeHTTP answers with this release's asset, which
// browsers must not cache.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if d, ok := a.served[name]; ok {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		d.Serve(w, r)
		return
	}
	base, _, _ := strings.Cut(name, ".")
	if d, ok := a.latest[base+path.Ext(name)]; ok {
		d.Serve(w, r)
		return
	}
	http.NotFound(w, r)
}
