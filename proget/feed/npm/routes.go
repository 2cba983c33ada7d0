package npm

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

	root          action = "root"
	ping          action = "ping"
	whoami        action = "whoami"
	profile       action = "profile"
	login         action = "login"
	logout        action = "logout"
	search        action = "search"
	auditBulk     action = "auditBulk"
	auditFull     action = "auditFull"
	getPackage    action = "getPackage"
	getVersion    action = "getVersion"
	getTarball    action = "getTarball"
	putPackage    action = "putPackage"
	editPackage   action = "editPackage"
	deletePackage action = "deletePackage"
	deleteTarball action = "deleteTarball"
	getTags       action = "getTags"
	putTag        action = "putTag"
	deleteTag     action = "deleteTag"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	root:       proget.TaskView,
	whoami:     proget.TaskView,
	profile:    proget.TaskView,
	search:     proget.TaskView,
	auditBulk:  proget.TaskView,
	auditFull:  proget.TaskView,
	getPackage: proget.TaskView,
	getVersion: proget.TaskView,
	getTarball: proget.TaskView,
	getTags:    proget.TaskView,

	ping:   proget.TaskNone,
	login:  proget.TaskNone,
	logout: proget.TaskNone,

	putPackage: proget.TaskPublish,
	putTag:     proget.TaskPublish,
	deleteTag:  proget.TaskPublish,

	editPackage:   proget.TaskManage,
	deletePackage: proget.TaskManage,
	deleteTarball: proget.TaskManage,
}

// A route is a parsed request.
type route struct {
	action action
	name   string // the package's name, with its scope
	arg    string // a version, a tag, a file, a user or a revision
}

// parse parses method and escaped path. A scope is part of the first segment, with an
// escaped slash, or a separate segment.
func parse(method, path string) route {
	var segments []string
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return route{}
		}
		segments = append(segments, text)
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if segments[0] == "-" {
		return parseService(method, segments[1:])
	}
	name, rest := cutName(segments)
	switch method + " " + shape(rest) {
	case "GET ":
		if name == "" {
			return route{action: root}
		}
		return route{getPackage, name, ""}
	case "GET x":
		return route{getVersion, name, rest[0]}
	case "GET -/x":
		return route{getTarball, name, rest[1]}
	case "GET -/x/x":
		return route{getTarball, name, rest[2]} // the file name repeats the scope
	case "PUT ":
		if name == "" {
			return route{}
		}
		return route{putPackage, name, ""}
	case "PUT -rev/x":
		return route{editPackage, name, ""}
	case "DELETE -rev/x":
		return route{deletePackage, name, rest[1]}
	case "DELETE -/x/-rev/x":
		return route{deleteTarball, name, rest[1]}
	case "DELETE -/x/x/-rev/x":
		return route{deleteTarball, name, rest[2]}
	}
	return route{}
}

// shape returns the fixed segments, with an x for each variable one.
func shape(segments []string) string {
	fixed := make([]string, len(segments))
	for i, s := range segments {
		if fixed[i] = "x"; s == "-" || s == "-rev" {
			fixed[i] = s
		}
	}
	return strings.Join(fixed, "/")
}

func cutName(segments []string) (name string, rest []string) {
	if strings.HasPrefix(segments[0], "@") && !strings.Contains(segments[0], "/") && len(segments) > 1 {
		return segments[0] + "/" + segments[1], segments[2:]
	}
	return segments[0], segments[1:]
}

// services are the registry's own paths, below /-/.
var services = map[string]action{
	"GET ping": ping, "GET whoami": whoami, "GET npm/v1/user": profile, "GET v1/search": search,
	"POST npm/v1/security/advisories/bulk": auditBulk,
	"POST npm/v1/security/audits":          auditFull,
	"POST npm/v1/security/audits/quick":    auditFull,
}

const userPrefix = "org.couchdb.user:"

func parseService(method string, segments []string) route {
	if a, ok := services[method+" "+strings.Join(segments, "/")]; ok {
		return route{action: a}
	}
	switch {
	case len(segments) == 3 && segments[0] == "user" && segments[1] == "token" && method == http.MethodDelete:
		return route{action: logout}
	case len(segments) > 1 && segments[0] == "user" && strings.HasPrefix(segments[1], userPrefix) && method == http.MethodPut:
		return route{login, "", strings.TrimPrefix(segments[1], userPrefix)}
	case len(segments) < 3 || segments[0] != "package":
		return route{}
	}
	name, rest := cutName(segments[1:])
	if len(rest) == 0 || rest[0] != "dist-tags" {
		return route{}
	}
	switch {
	case len(rest) == 1 && method == http.MethodGet:
		return route{getTags, name, ""}
	case len(rest) == 2 && (method == http.MethodPut || method == http.MethodPost):
		return route{putTag, name, rest[1]}
	case len(rest) == 2 && method == http.MethodDelete:
		return route{deleteTag, name, rest[1]}
	}
	return route{}
}
