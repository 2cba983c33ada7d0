package asset

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
	getContent
	createContent
	putContent
	replaceContent
	deleteContent
	listFolder
	makeFolder
	deleteItem
	exportFolder
	importArchive
	getMetadata
	setMetadata
)

// routes are the actions by method and the first segment of the path.
var routes = map[string]map[string]action{
	"content":  {http.MethodGet: getContent, http.MethodHead: getContent, http.MethodPut: createContent, http.MethodPost: putContent, http.MethodPatch: replaceContent, http.MethodDelete: deleteContent},
	"dir":      {http.MethodGet: listFolder, http.MethodHead: listFolder, http.MethodPost: makeFolder},
	"delete":   {http.MethodPost: deleteItem, http.MethodDelete: deleteItem},
	"export":   {http.MethodGet: exportFolder, http.MethodHead: exportFolder},
	"import":   {http.MethodPost: importArchive},
	"metadata": {http.MethodGet: getMetadata, http.MethodHead: getMetadata, http.MethodPost: setMetadata},
}

// parse reads method and escaped path. The text is what follows the first segment,
// not yet checked.
func parse(method, escaped string) (a action, text string) {
	first, rest, _ := strings.Cut(escaped, "/")
	text, err := url.PathUnescape(rest)
	if err != nil {
		return unknown, ""
	}
	return routes[first][method], text
}

func (a action) task() proget.Task {
	switch a {
	case createContent, putContent, replaceContent, makeFolder, importArchive, setMetadata:
		return proget.TaskPublish
	case deleteContent, deleteItem:
		return proget.TaskManage
	}
	return proget.TaskView
}
