package load

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// nuGet returns the protocol of a feed of NuGet packages with the given name.
func nuGet(feed string) protocol {
	base := "/nuget/" + feed
	return protocol{feed: feed,
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			nuspec := "<package><metadata><id>" + name + "</id><version>" + key + "</version><authors>a</authors><description>A library.</description></metadata></package>"
			file := zipOf(name+".nuspec", nuspec, "lib/a.dll", string(noise()))
			return digestOf(file), c.do(ctx, http.MethodPut, base+"/api/v2/package", file)
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+"/v3/registration/"+name+"/index.json")
			var index struct {
				Items []struct {
					Items []struct {
						CatalogEntry struct {
							Version string
							Listed  bool
						}
					}
				}
			}
			a.json(&index)
			for _, page := range index.Items {
				for _, item := range page.Items {
					l = append(l, listed{item.CatalogEntry.Version, history.Entry{Unlisted: !item.CatalogEntry.Listed}})
				}
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+"/v3/flatcontainer/"+name+"/"+key+"/"+name+"."+key+".nupkg")
		},
		remove: byNativeAPI(feed, ""),
		unlist: func(ctx context.Context, c *Client, name, key string) answer {
			return c.do(ctx, http.MethodDelete, base+"/api/v2/package/"+name+"/"+key, nil)
		},
		search: func(ctx context.Context, c *Client, name string) (bool, answer) {
			a := c.get(ctx, base+"/v3/search?prerelease=true&semVerLevel=2.0.0&q="+name)
			var found struct{ Data []struct{ ID string } }
			a.json(&found)
			for _, p := range found.Data {
				if p.ID == name {
					return true, a
				}
			}
			return false, a
		},
	}
}

func npm() protocol {
	const base = "/npm/npm"
	return protocol{feed: "npm", marks: true,
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			manifest := map[string]any{"name": name, "version": key}
			text, _ := json.Marshal(manifest) // cannot fail
			file := tarballOf("package/package.json", string(text), "package/data", string(noise()))
			one, five := sha1.Sum(file), sha512.Sum512(file)
			manifest["dist"] = map[string]any{"shasum": hex.EncodeToString(one[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(five[:])}
			body, _ := json.Marshal(map[string]any{"_id": name, "name": name, "dist-tags": map[string]string{"latest": key}, "versions": map[string]any{key: manifest},
				"_attachments": map[string]any{name + "-" + key + ".tgz": map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(file), "length": len(file)}}})
			return digestOf(file), c.do(ctx, http.MethodPut, base+"/"+name, body, "Content-Type", "application/json")
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+"/"+name)
			var packument struct {
				Versions map[string]struct{ Deprecated string }
				Tags     map[string]string `json:"dist-tags"`
			}
			a.json(&packument)
			for version, v := range packument.Versions {
				l = append(l, listed{version, history.Entry{Unlisted: v.Deprecated != ""}})
			}
			for tag, version := range packument.Tags {
				if tag != "latest" { // moves by itself
					l = append(l, listed{history.TagPrefix + tag, history.Entry{Digest: version}})
				}
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+"/"+name+"/-/"+name+"-"+key+".tgz")
		},
		remove: byNativeAPI("npm", ""),
		unlist: func(ctx context.Context, c *Client, name, key string) answer {
			return c.setStatus(ctx, "npm", name, key, `{"deprecated":true,"deprecationReason":"old"}`)
		},
		tag: func(ctx context.Context, c *Client, name, tag, version string) answer {
			return c.do(ctx, http.MethodPut, base+"/-/package/"+name+"/dist-tags/"+tag, []byte(`"`+version+`"`), "Content-Type", "application/json")
		},
		search: func(ctx context.Context, c *Client, name string) (bool, answer) {
			a := c.get(ctx, base+"/-/v1/search?text="+name)
			var found struct {
				Objects []struct{ Package struct{ Name string } }
			}
			a.json(&found)
			for _, o := range found.Objects {
				if o.Package.Name == name {
					return true, a
				}
			}
			return false, a
		},
	}
}

func pyPI() protocol {
	const base = "/pypi/pypi"
	wheel := func(name, key string) string { return name + "-" + key + "-py3-none-any.whl" }
	return protocol{feed: "pypi",
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			info := name + "-" + key + ".dist-info/"
			file := zipOf(name+".py", string(noise()), info+"METADATA", "Metadata-Version: 2.1\nName: "+name+"\nVersion: "+key+"\nSummary: A library.\n",
				info+"WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n", info+"RECORD", "")
			var body bytes.Buffer
			form := multipart.NewWriter(&body) // to memory, which does not fail
			for field, value := range map[string]string{":action": "file_upload", "protocol_version": "1", "name": name, "version": key, "filetype": "bdist_wheel"} {
				_ = form.WriteField(field, value)
			}
			part, _ := form.CreateFormFile("content", wheel(name, key))
			_, _ = part.Write(file)
			_ = form.Close()
			return digestOf(file), c.do(ctx, http.MethodPost, base+"/legacy/", body.Bytes(), "Content-Type", form.FormDataContentType())
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+"/simple/"+name+"/", "Accept", "application/vnd.pypi.simple.v1+json")
			var page struct {
				Files []struct {
					Filename string
					Hashes   map[string]string
					Yanked   any // true, or the reason
				}
			}
			a.json(&page)
			for _, f := range page.Files {
				_, rest, _ := strings.Cut(f.Filename, "-")
				version, _, _ := strings.Cut(rest, "-")
				l = append(l, listed{version, history.Entry{Digest: f.Hashes["sha256"], Unlisted: f.Yanked != nil && f.Yanked != false}})
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+"/packages/"+name+"/"+wheel(name, key))
		},
		remove: byNativeAPI("pypi", ""),
		unlist: func(ctx context.Context, c *Client, name, key string) answer {
			return c.setStatus(ctx, "pypi", name, key, `{"listed":false}`)
		},
	}
}

func maven() protocol {
	const base = "/maven2/maven/com/acme/"
	return protocol{feed: "maven",
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			file := zipOf("A.class", string(noise()))
			return digestOf(file), c.do(ctx, http.MethodPut, base+name+"/"+key+"/"+name+"-"+key+".jar", file)
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+name+"/maven-metadata.xml")
			var metadata struct {
				Versions []string `xml:"versioning>versions>version"`
			}
			if a.outcome() == history.OK {
				if err := xml.Unmarshal(a.body, &metadata); err != nil {
					return nil, unreadable("not the XML that was asked for: %v: %.200s", err, a.body)
				}
			}
			for _, version := range metadata.Versions {
				l = append(l, listed{key: version})
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+name+"/"+key+"/"+name+"-"+key+".jar")
		},
		remove: byNativeAPI("maven", "com.acme:"),
	}
}

func universal() protocol {
	const base = "/upack/universal"
	return protocol{feed: "universal",
		push: func(ctx context.Context, c *Client, name, key string) (string, answer) {
			file := zipOf("upack.json", `{"name":"`+name+`","version":"`+key+`"}`, "package/a", string(noise()))
			return digestOf(file), c.do(ctx, http.MethodPut, base+"/upload", file)
		},
		list: func(ctx context.Context, c *Client, name string) (l listing, a answer) {
			a = c.get(ctx, base+"/versions?name="+url.QueryEscape(name))
			var versions []struct{ Version string }
			a.json(&versions)
			for _, v := range versions {
				l = append(l, listed{key: v.Version})
			}
			return l, a.none()
		},
		read: func(ctx context.Context, c *Client, name, key string) answer {
			return c.get(ctx, base+"/download/"+name+"/"+key)
		},
		remove: byNativeAPI("universal", ""),
		search: func(ctx context.Context, c *Client, name string) (bool, answer) {
			a := c.get(ctx, base+"/search?term="+name)
			var found []struct{ Name string }
			a.json(&found)
			for _, p := range found {
				if p.Name == name {
					return true, a
				}
			}
			return false, a
		},
	}
}
