package maven

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// An action names what a request asks for.
type action = feed.Operation

const (
	unknown action = ""

	browse      action = "browse"
	getFile     action = "getFile"
	getMetadata action = "getMetadata"
	putFile     action = "putFile"
	putChecksum action = "putChecksum"
	putMetadata action = "putMetadata"
	remove      action = "remove"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	browse:      proget.TaskView,
	getFile:     proget.TaskView,
	getMetadata: proget.TaskView,

	putFile:     proget.TaskPublish,
	putChecksum: proget.TaskPublish,
	putMetadata: proget.TaskPublish,

	remove: proget.TaskManage,
}

// A route is a parsed request.
type route struct {
	action    action
	segments  []string         // of the path; for a checksum, of the file that it is for
	algorithm proget.Algorithm // of a checksum; "" for none
}

// parse parses method and escaped path. The path of a folder ends in a slash.
func parse(method, path string) route {
	segments, err := splitPath(path)
	if err != nil {
		return route{}
	}
	last := len(segments) - 1
	if segments[last] == "" {
		return parseFolder(method, segments[:last])
	}
	if method == http.MethodDelete {
		return parseFolder(method, segments)
	}
	var rt route
	segments[last], rt.algorithm = cutChecksum(segments[last])
	rt.segments = segments
	metadata := segments[last] == metadataName
	switch method {
	case http.MethodGet, http.MethodHead:
		rt.action = getFile
		if metadata {
			rt.action = getMetadata
		}
	case http.MethodPut:
		switch {
		case metadata:
			rt.action = putMetadata
		case rt.algorithm != "":
			rt.action = putChecksum
		default:
			rt.action = putFile
		}
	default:
		return route{}
	}
	return rt
}

func parseFolder(method string, segments []string) route {
	switch method {
	case http.MethodGet, http.MethodHead:
		return route{action: browse, segments: segments}
	case http.MethodDelete:
		return route{action: remove, segments: segments}
	}
	return route{}
}
