package universal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// An action names what a request asks for.
type action = feed.Operation

const (
	unknown action = ""

	listPackages    action = "listPackages"
	listVersions    action = "listVersions"
	download        action = "download"
	downloadFile    action = "downloadFile"
	upload          action = "upload"
	remove          action = "remove"
	meta            action = "meta"
	search          action = "search"
	downloadVirtual action = "downloadVirtual"
	importPackage   action = "importPackage"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	listPackages:    proget.TaskView,
	listVersions:    proget.TaskView,
	download:        proget.TaskView,
	downloadFile:    proget.TaskView,
	meta:            proget.TaskView,
	search:          proget.TaskView,
	downloadVirtual: proget.TaskView,

	upload:        proget.TaskPublish,
	importPackage: proget.TaskPublish,

	remove: proget.TaskManage,
}

// A route is a parsed request. Groups contain slashes, so paths are parsed from the
// right.
type route struct {
	action  action
	name    string // group/name; "" if the path names none
	version string // "" if the path names none
}

// parse parses method and escaped path.
func parse(method, path string) route {
	first, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	rest, err := url.PathUnescape(rest)
	if err != nil {
		return route{}
	}
	get := method == http.MethodGet || method == http.MethodHead
	write := method == http.MethodPut || method == http.MethodPost
	switch {
	case first == "" && write:
		return route{action: upload}
	case first == "upload" && write:
		return read(upload, rest)
	case first == "import" && write && rest == "":
		return route{action: importPackage}
	case first == "delete" && (method == http.MethodDelete || method == http.MethodPost):
		return read(remove, rest)
	case first == "download" && get:
		return read(download, rest)
	case first == "download-file" && get:
		return read(downloadFile, rest)
	case first == "download-vpack" && get:
		return read(downloadVirtual, rest)
	case get && rest == "":
		return route{action: map[string]action{"packages": listPackages, "versions": listVersions, "meta": meta, "search": search}[first]}
	}
	return route{}
}

// read parses [group/]name[/version]. A last segment that begins with a digit and
// contains a dot is a version.
func read(a action, rest string) route {
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
