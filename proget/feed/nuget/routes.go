package nuget

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// An action names what a request asks for.
type action = feed.Operation

// The actions. The zero value stands for an unknown URL.
const (
	unknown action = ""

	serviceIndex      action = "serviceIndex"
	contentVersions   action = "contentVersions"
	contentPackage    action = "contentPackage"
	contentNuspec     action = "contentNuspec"
	contentReadme     action = "contentReadme"
	contentIcon       action = "contentIcon"
	contentLicense    action = "contentLicense"
	registrationIndex action = "registrationIndex"
	registrationPage  action = "registrationPage"
	registrationLeaf  action = "registrationLeaf"
	catalogFile       action = "catalogFile"
	searchPackages    action = "searchPackages"
	autocomplete      action = "autocomplete"
	v2Service         action = "v2Service"
	v2Metadata        action = "v2Metadata"
	v2Packages        action = "v2Packages"
	v2Find            action = "v2Find"
	v2Search          action = "v2Search"
	v2Updates         action = "v2Updates"
	v2Entry           action = "v2Entry"
	pushPackage       action = "pushPackage"
	unlistVersion     action = "unlistVersion"
	relistVersion     action = "relistVersion"
	symbolFile        action = "symbolFile"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	serviceIndex:      proget.TaskView,
	contentVersions:   proget.TaskView,
	contentPackage:    proget.TaskView,
	contentNuspec:     proget.TaskView,
	contentReadme:     proget.TaskView,
	contentIcon:       proget.TaskView,
	contentLicense:    proget.TaskView,
	registrationIndex: proget.TaskView,
	registrationPage:  proget.TaskView,
	registrationLeaf:  proget.TaskView,
	catalogFile:       proget.TaskView,
	searchPackages:    proget.TaskView,
	autocomplete:      proget.TaskView,
	v2Service:         proget.TaskView,
	v2Metadata:        proget.TaskView,
	v2Packages:        proget.TaskView,
	v2Find:            proget.TaskView,
	v2Search:          proget.TaskView,
	v2Updates:         proget.TaskView,
	v2Entry:           proget.TaskView,
	symbolFile:        proget.TaskView,

	pushPackage: proget.TaskPublish,

	unlistVersion: proget.TaskManage,
	relistVersion: proget.TaskManage,
}

// A hive is a set of registrations, named by its folder in URLs. The protocol's third
// hive, "gzipped", is not separate: every hive is compressed for clients that accept
// it.
type hive string

// The hives. Clients before 4.3 fail if they see a package that they cannot read.
const (
	semVer1Hive hive = "registration-semver1" // without the versions for which needsSemVer2 is true
	semVer2Hive hive = "registration"
)

// A route is a parsed request.
type route struct {
	action  action
	hive    hive   // of a registration
	id      string // a name key
	version string // a version key
	lower   string // version keys between which a page lies
	upper   string
	file    string // of the catalog
	count   bool   // of a collection of version 2: only the number
}

// parseRequest parses a request to a feed, or to its symbol server.
func parseRequest(mount, method, path string) route {
	if mount == symbolsMount {
		return parseSymbols(method, path)
	}
	return parse(method, path)
}

// parse parses a method and the escaped path below a feed's URL.
func parse(method, path string) route {
	segments, ok := split(path)
	if !ok {
		return route{}
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		return parseRead(segments)
	case http.MethodPut:
		if len(trimPublish(segments)) == 0 {
			return route{action: pushPackage}
		}
	case http.MethodDelete:
		return parseVersionRoute(unlistVersion, trimPublish(segments))
	case http.MethodPost:
		return parseVersionRoute(relistVersion, trimPublish(segments))
	}
	return route{}
}

// split unescapes the path's segments. It ignores one trailing slash, which clients
// append when they push.
func split(path string) ([]string, bool) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil, true
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		text, err := url.PathUnescape(s)
		if err != nil || text == "" || strings.ContainsAny(text, "/\\\x00") {
			return nil, false
		}
		segments[i] = text
	}
	return segments, true
}

// trimPublish removes the path of the publish resource, which is optional: ProGet's
// users push to the feed's own URL, and version 2 clients push to the source that they
// were given.
func trimPublish(segments []string) []string {
	for _, prefix := range [][]string{{"api", "v2", "package"}, {"api", "v2", "symbolpackage"}, {"api", "v2"}, {"v2", "package"}, {"v2"}} {
		n := len(prefix)
		if len(segments) < n || !slices.Equal(segments[:n], prefix) {
			continue
		}
		if rest := segments[n:]; len(rest) == 0 || len(rest) == 2 { // else it is a package of that name
			return rest
		}
	}
	return segments
}

// parseVersionRoute parses {id}/{version}. Anything else in place of the version
// belongs to another resource, because the path of the publish resource is optional.
func parseVersionRoute(a action, segments []string) route {
	if len(segments) != 2 {
		return route{}
	}
	if _, ok := parseVersion(segments[1]); !ok {
		return route{}
	}
	return route{action: a, id: nameKey(segments[0]), version: versionKey(segments[1])}
}

func parseRead(segments []string) route {
	if len(segments) == 0 || segments[0] != "v3" {
		return parseV2(segments)
	}
	if len(segments) == 1 {
		return route{}
	}
	rest := segments[2:]
	switch segments[1] {
	case "flatcontainer":
		return parseContent(rest)
	case string(semVer1Hive), string(semVer2Hive):
		return parseRegistration(hive(segments[1]), rest)
	case "index.json":
		return parseLeafless(serviceIndex, rest)
	case catalogKind:
		return route{action: catalogFile, file: strings.Join(rest, "/")}
	case "search":
		return parseLeafless(searchPackages, rest)
	case "autocomplete":
		return parseLeafless(autocomplete, rest)
	}
	return route{}
}

func parseLeafless(a action, rest []string) route {
	if len(rest) != 0 {
		return route{}
	}
	return route{action: a}
}

// parseContent parses {id}/index.json, {id}/{version}/{id}.{version}.nupkg,
// {id}/{version}/{id}.nuspec and {id}/{version}/readme, icon or license.
func parseContent(segments []string) route {
	if len(segments) == 2 && segments[1] == "index.json" {
		return route{action: contentVersions, id: nameKey(segments[0])}
	}
	if len(segments) != 3 {
		return route{}
	}
	id, version, file := segments[0], segments[1], segments[2]
	r := route{id: nameKey(id), version: versionKey(version)}
	switch {
	case strings.EqualFold(file, id+"."+version+".nupkg"):
		r.action = contentPackage
	case strings.EqualFold(file, id+".nuspec"):
		r.action = contentNuspec
	case file == "readme":
		r.action = contentReadme
	case file == "icon":
		r.action = contentIcon
	case file == "license":
		r.action = contentLicense
	default:
		return route{}
	}
	return r
}

// parseRegistration parses {id}/index.json, {id}/{version}.json and
// {id}/page/{lower}/{upper}.json.
func parseRegistration(h hive, segments []string) route {
	if len(segments) < 2 {
		return route{}
	}
	name, isJSON := strings.CutSuffix(segments[len(segments)-1], ".json")
	if !isJSON || name == "" {
		return route{}
	}
	r := route{hive: h, id: nameKey(segments[0])}
	switch {
	case len(segments) == 2 && name == "index":
		r.action = registrationIndex
	case len(segments) == 2:
		r.action, r.version = registrationLeaf, versionKey(name)
	case len(segments) == 4 && segments[1] == "page":
		r.action, r.lower, r.upper = registrationPage, versionKey(segments[2]), versionKey(name)
	default:
		return route{}
	}
	return r
}
