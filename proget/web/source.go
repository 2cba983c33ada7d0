package web

import (
	"net/url"
	"strings"
)

// A source is where the relative links of a readme lead: its repository. The zero value
// means that it is unknown.
type source struct{ page, files, images string }

// hosts maps a repository's host to the path segments between a repository and a file:
// for viewing files, and for their bytes.
var hosts = map[string][2]string{
	"github.com": {"/blob/HEAD/", "/raw/HEAD/"},
	"gitlab.com": {"/-/blob/HEAD/", "/-/raw/HEAD/"},
}

// sourceOf returns the first of the addresses that is a known repository.
func sourceOf(addresses ...string) source {
	for _, address := range addresses {
		if owner, ok := strings.CutPrefix(address, "github:"); ok { // npm's short form
			address = "https://github.com/" + owner
		}
		u, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(address), "git+"))
		if err != nil {
			continue
		}
		path := strings.TrimSuffix(strings.Trim(u.EscapedPath(), "/"), ".git")
		between, ok := hosts[strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.")]
		if ok && strings.Count(path, "/") == 1 {
			page := "https://" + strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.") + "/" + path
			return source{page, page + between[0], page + between[1]}
		}
	}
	return source{}
}

// link returns the target of a readme's link, or "" if there is none. image says that
// the link is for the bytes of an image.
func (s source) link(to string, image bool) string {
	u, err := url.Parse(to)
	if err != nil {
		return ""
	}
	if u.IsAbs() || u.Host != "" {
		return to
	}
	if s.page == "" {
		return ""
	}
	if u.Path == "" { // a link within the readme
		return s.page + to
	}
	base, err := url.Parse(s.files)
	if image {
		base, err = url.Parse(s.images)
	}
	if err != nil {
		return ""
	}
	u.Path, u.RawPath = strings.TrimPrefix(u.Path, "/"), strings.TrimPrefix(u.RawPath, "/") // absolute paths start at the repository, not at its host
	return base.ResolveReference(u).String()
}
