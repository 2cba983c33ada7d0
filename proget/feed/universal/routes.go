package universal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/proget-go/ha/proget"
)

// An action is what a request asks for.
type action int

const (
	unknown action = iota
	listPackages
	listVersions
	download
	downloadFile
	upload
	remove
	meta
	search
	unsupported
)

// A route is a parsed request. Groups contain slashes, so paths are read from
// the right.
type route struct {
	action  action
	name    string // group/name; "" if the path names none
	version string // "" if the path names none
}

// parse reads method and escaped path.
func parse(method, path string) route {
	first, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	rest, err := url.PathUnescape(rest)
	if err != nil {
		return route{}
	}
	read := method == http.MethodGet || method == http.MethodHead
	write := method == http.MethodPut || method == http.MethodPost
	switch {
	case first == "" && write:
		return route{action: upload}
	case first == "upload" && write:
		return named(upload, rest)
	case first == "import" && write:
		return route{action: unsupported}
	case first == "delete" && (method == http.MethodDelete || method == http.MethodPost):
		return named(remove, rest)
	case first == "download" && read:
		return named(download, rest)
	case first == "download-file" && read:
		return named(downloadFile, rest)
	case read && rest == "":
		return route{action: map[string]action{"packages": listPackages, "versions": listVersions, "meta": meta, "search": search}[first]}
	}
	return route{}
}

// named takes [group/]name[/version] apart: what ends in something that begins
// with a digit and has a dot is a version.
func named(a action, rest string) route {
	rest = strings.Trim(rest, "/")
	i := strings.LastIndexByte(rest, '/')
	if i > 0 && looksLikeVersion(rest[i+1:]) {
		return route{a, rest[:i], rest[i+1:]}
	}
	return route{a, rest, ""}
}

func looksLikeVersion(s string) bool {
	return s != "" && s[0] >= '0' && s[0] <= '9' && strings.Count(s, ".") >= 2
}

func (rt route) task() proget.Task {
	switch rt.action {
	case upload, unsupported:
		return proget.TaskPublish
	case remove:
		return proget.TaskManage
	}
	return proget.TaskView
}
