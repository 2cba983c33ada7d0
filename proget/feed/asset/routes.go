package asset

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

	getContent     action = "getContent"
	createContent  action = "createContent"
	putContent     action = "putContent"
	replaceContent action = "replaceContent"
	deleteContent  action = "deleteContent"
	listFolder     action = "listFolder"
	makeFolder     action = "makeFolder"
	deleteItem     action = "deleteItem"
	exportFolder   action = "exportFolder"
	importArchive  action = "importArchive"
	getMetadata    action = "getMetadata"
	setMetadata    action = "setMetadata"
)

// operations maps the actions to the permissions that they require.
var operations = feed.Operations{
	getContent:   proget.TaskView,
	listFolder:   proget.TaskView,
	exportFolder: proget.TaskView,
	getMetadata:  proget.TaskView,

	createContent:  proget.TaskPublish,
	putContent:     proget.TaskPublish,
	replaceContent: proget.TaskPublish,
	makeFolder:     proget.TaskPublish,
	importArchive:  proget.TaskPublish,
	setMetadata:    proget.TaskPublish,

	deleteContent: proget.TaskManage,
	deleteItem:    proget.TaskManage,
}

// routes maps methods and first path segments to actions.
var routes = map[string]map[string]action{
	"content":  {http.MethodGet: getContent, http.MethodHead: getContent, http.MethodPut: createContent, http.MethodPost: putContent, http.MethodPatch: replaceContent, http.MethodDelete: deleteContent},
	"dir":      {http.MethodGet: listFolder, http.MethodHead: listFolder, http.MethodPost: makeFolder},
	"delete":   {http.MethodPost: deleteItem, http.MethodDelete: deleteItem},
	"export":   {http.MethodGet: exportFolder, http.MethodHead: exportFolder},
	"import":   {http.MethodPost: importArchive},
	"metadata": {http.MethodGet: getMetadata, http.MethodHead: getMetadata, http.MethodPost: setMetadata},
}

// parse parses method and escaped path. text is what follows the first segment, not yet
// validated.
func parse(method, escaped string) (a action, text string) {
	first, rest, _ := strings.Cut(escaped, "/")
	text, err := url.PathUnescape(rest)
	if err != nil {
		return unknown, ""
	}
	return routes[first][method], text
}
