package pypi

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

	home         action = "home"
	listProjects action = "listProjects"
	getProject   action = "getProject"
	getFile      action = "getFile"
	getJSON      action = "getJSON"
	uploadForm   action = "uploadForm"
	uploadFile   action = "uploadFile"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	home:         proget.TaskView,
	listProjects: proget.TaskView,
	getProject:   proget.TaskView,
	getFile:      proget.TaskView,
	getJSON:      proget.TaskView,

	uploadForm: proget.TaskPublish,
	uploadFile: proget.TaskPublish,
}

// A route is a parsed request.
type route struct {
	action action
	name   string // the project's name, as the client writes it
	arg    string // a file or a version; "" if the path names none
	slash  bool   // the path ends in a slash
}

// The first segments of paths. A project with one of these names has its JSON document
// only below pypi/.
const (
	simplePath   = "simple"
	packagesPath = "packages"
	pypiPath     = "pypi"
	legacyPath   = "legacy"
	uploadPath   = "upload"
	jsonPath     = "json"
)

// parse parses method and escaped path.
func parse(method, path string) route {
	slash := strings.HasSuffix(path, "/")
	var segments []string
	for segment := range strings.SplitSeq(strings.TrimSuffix(path, "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || strings.Contains(text, "/") {
			return route{}
		}
		segments = append(segments, text)
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		rt := parseRead(segments)
		rt.slash = slash
		return rt
	case http.MethodPost:
		if len(segments) == 1 && (segments[0] == "" || segments[0] == legacyPath) {
			return route{action: uploadForm}
		}
	}
	if method != http.MethodPost && method != http.MethodPut || segments[0] != uploadPath {
		return route{}
	}
	switch len(segments) {
	case 1:
		return route{action: uploadFile}
	case 2:
		return route{action: uploadFile, arg: segments[1]}
	}
	return route{}
}

func parseRead(segments []string) route {
	first, n := segments[0], len(segments)
	switch {
	case first == simplePath && n == 1:
		return route{action: listProjects}
	case first == simplePath && n == 2:
		return route{action: getProject, name: segments[1]}
	case first == packagesPath && n == 3:
		return route{action: getFile, name: segments[1], arg: segments[2]}
	case first == pypiPath && n > 1 && n < 5 && segments[n-1] == jsonPath:
		return parseJSON(segments[1:])
	case first == simplePath || first == packagesPath || first == pypiPath || first == legacyPath || first == uploadPath:
		return route{}
	case first == "" && n == 1:
		return route{action: home}
	case n < 4 && segments[n-1] == jsonPath:
		return parseJSON(segments)
	}
	return route{}
}

// parseJSON parses name[/version]/json.
func parseJSON(segments []string) route {
	switch len(segments) {
	case 2:
		return route{action: getJSON, name: segments[0]}
	case 3:
		return route{action: getJSON, name: segments[0], arg: segments[1]}
	}
	return route{}
}
