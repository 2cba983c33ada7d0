package load

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	emptyType    = "application/vnd.oci.empty.v1+json"
)

// docker returns the protocol of a registry. An image is an artifact with one layer,
// uploaded in two chunks, each perhaps to another node. Its tags move.
func docker() protocol {
	const base = "/v2/docker/"
	return protocol{feed: "docker", overwrites: true,
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			layer := noise()
			for _, blob := range [][]byte{[]byte("{}"), layer} {
				if a := c.uploadBlob(ctx, base+name, blob); a.outcome() != history.OK {
					return "", a
				}
			}
			manifest, _ := json.Marshal(map[string]any{ // has nothing that could fail
				"schemaVersion": 2, "mediaType": manifestType, "artifactType": "application/vnd.acme.load",
				"config": map[string]any{"mediaType": emptyType, "digest": "sha256:" + digestOf([]byte("{}")), "size": 2},
				"layers": []any{map[string]any{"mediaType": "application/octet-stream", "digest": "sha256:" + digestOf(layer), "size": len(layer)}},
			})
			return digestOf(manifest), c.do(ctx, http.MethodPut, base+name+"/manifests/"+key, manifest, "Content-Type", manifestType)
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+name+"/tags/list")
			var list struct{ Tags []string }
			a.json(&list)
			for _, tag := range list.Tags {
				l = append(l, listed{key: tag})
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			a := c.get(ctx, base+name+"/manifests/"+key, "Accept", manifestType)
			if a.outcome() != history.OK {
				return a
			}
			switch layer := c.layer(ctx, base+name, a.body); layer.outcome() {
			case history.OK:
				return a
			case history.Stale:
				a.header = layer.header
				return a
			default:
				return layer
			}
		},
		remove: func(ctx context.Context, c *Client, name, key string) answer {
			return c.do(ctx, http.MethodDelete, base+name+"/manifests/"+key, nil)
		},
	}
}

// layer downloads the layer of a manifest and checks its digest.
func (c *Client) layer(ctx context.Context, repo string, manifest []byte) answer {
	var m struct{ Layers []struct{ Digest string } }
	if err := json.Unmarshal(manifest, &m); err != nil || len(m.Layers) != 1 {
		return unreadable("not the manifest that was pushed: %s", manifest)
	}
	a := c.get(ctx, repo+"/blobs/"+m.Layers[0].Digest)
	switch {
	case a.outcome() == history.Missing:
		return unreadable("the layer %s of a manifest is missing", m.Layers[0].Digest)
	case a.outcome() == history.OK && "sha256:"+digestOf(a.body) != m.Layers[0].Digest:
		return unreadable("the layer %s has other bytes", m.Layers[0].Digest)
	}
	return a
}

// uploadBlob uploads a blob as in "Pushing a blob in chunks" of the distribution
// specification.
func (c *Client) uploadBlob(ctx context.Context, repo string, blob []byte) answer {
	a := c.do(ctx, http.MethodPost, repo+"/blobs/uploads/", nil)
	half := len(blob) / 2
	if a.outcome() == history.OK {
		a = c.do(ctx, http.MethodPatch, a.header.Get("Location"), blob[:half],
			"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("0-%d", half-1))
	}
	if a.outcome() == history.OK {
		a = c.do(ctx, http.MethodPatch, a.header.Get("Location"), blob[half:],
			"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", half, len(blob)-1))
	}
	if a.outcome() == history.OK {
		a = c.do(ctx, http.MethodPut, a.header.Get("Location")+"?digest=sha256:"+digestOf(blob), nil)
	}
	return a
}

// asset returns the protocol of an asset directory, whose files are overwritten, and
// uploaded in two parts.
func asset() protocol {
	const base = "/endpoints/asset/"
	return protocol{feed: "asset", overwrites: true, forgives: true,
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			content, path := noise(), base+"content/"+name+"/"+key
			id, half := rand.Text(), len(content)/2
			for i, part := range [][]byte{content[:half], content[half:]} {
				a := c.do(ctx, http.MethodPost, fmt.Sprintf("%s?multipart=upload&id=%s&index=%d&offset=%d&partSize=%d&totalSize=%d&totalParts=2",
					path, id, i, i*half, len(part), len(content)), part, "Content-Type", "application/octet-stream")
				if a.outcome() != history.OK {
					return "", a
				}
			}
			return digestOf(content), c.do(ctx, http.MethodPost, path+"?multipart=complete&id="+id, nil)
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+"dir/"+name)
			var items []struct{ Name, SHA256 string }
			a.json(&items)
			for _, item := range items {
				l = append(l, listed{item.Name, history.Entry{Digest: item.SHA256}})
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+"content/"+name+"/"+key)
		},
		remove: func(ctx context.Context, c *Client, name, key string) answer {
			return c.do(ctx, http.MethodDelete, base+"content/"+name+"/"+key, nil)
		},
	}
}
