package web

import (
	"net/url"
	"strings"
)

// A source is where a readme's relative links lead: its repository. The zero value
// knows none.
type source struct{ page, files, images string }

// hosts are those of repositories, with what comes between a repository and a path in
// it: for files to look at, and for their bytes.
var hosts = map[string][2]string{
	"github.com": {"/blob/HEAD/", "/raw/HEAD/"},
	"gitlab.com": {"/-/blob/HEAD/", "/-/raw/HEAD/"},
}

// sourceOf returns the first of the addresses that is a repository.
func sourceOf(addresses ...string) source {
	for _, address := range addresses {
		if owner, ok := strings.CutPrefix(address, "github:"); ok { // as npm abbreviates it
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

// link returns where a link of a readme leads, "" if nowhere; image says that its bytes
// are wanted.
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
	if u.Path == "" { // of the readme itself
		return s.page + to
	}
	base, err := url.Parse(s.files)
	if image {
		base, err = url.Parse(s.images)
	}
	if err != nil {
		return ""
	}
	u.Path, u.RawPath = strings.TrimPrefix(u.Path, "/"), strings.TrimPrefix(u.RawPath, "/") // of the repository, not of its host
	return base.ResolveReference(u).String()
}
