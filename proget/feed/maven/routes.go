package maven

import (
	"net/http"

	"github.com/proget-go/ha/proget"
)

// An action is what a request asks for.
type action int

const (
	unknown action = iota
	browse
	getFile
	getMetadata
	putFile
	putChecksum
	putMetadata
	remove
)

// A route is a parsed request.
type route struct {
	action    action
	segments  []string         // of the path; that of a checksum is the path of what it is of
	algorithm proget.Algorithm // of a checksum; "" for none
}

// parse reads method and escaped path. A folder's ends in a slash.
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

func (rt route) task() proget.Task {
	switch rt.action {
	case putFile, putChecksum, putMetadata:
		return proget.TaskPublish
	case remove:
		return proget.TaskManage
	}
	return proget.TaskView
}
