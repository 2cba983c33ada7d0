package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// mountAPI mounts the native API, as far as it is needed to list, fetch and manage
// versions, and to manage feeds and keys: what ProGet's own client sends, with the
// other methods that its documentation names. Packages are not audited, promoted
// or repackaged, and what it calls their metadata is not told.
func (n *Node) mountAPI(mux *router) {
	mux.Handle("GET /api/packages/{feed}", n.feedAPI(proget.TaskView, n.tellPackages))
	mux.Handle("GET /api/packages/{feed}/latest", n.feedAPI(proget.TaskView, n.listLatest))
	mux.Handle("GET /api/packages/{feed}/versions", n.feedAPI(proget.TaskView, n.listVersions))
	mux.Handle("GET /api/packages/{feed}/download", n.feedAPI(proget.TaskView, n.downloadPackage))
	mux.Handle("POST /api/packages/{feed}/delete", n.api(proget.TaskManage, n.deletePackage))
	mux.Handle("DELETE /api/packages/{feed}/delete", n.api(proget.TaskManage, n.deletePackage))
	for _, pattern := range []string{"PUT /api/packages/{feed}/upload", "POST /api/packages/{feed}/upload", "PUT /api/packages/{feed}/upload/{file...}", "POST /api/packages/{feed}/upload/{file...}"} {
		mux.Handle(pattern, n.feedAPI(proget.TaskPublish, n.uploadPackage))
	}
	mux.Handle("POST /api/packages/{feed}/status", n.api(proget.TaskManage, n.packageStatus))
	mux.Handle("PUT /api/packages/{feed}/status", n.api(proget.TaskManage, n.packageStatus))
	mux.Handle("GET /api/packages/{feed}/deleted", n.feedAPI(proget.TaskManage, n.listDeleted))
	mux.Handle("POST /api/packages/{feed}/restore", n.feedAPI(proget.TaskManage, n.restorePackage))
	mux.Handle("GET /api/management/feeds/list", n.native(n.listFeeds))
	mux.Handle("GET /api/management/feeds/get/{feed}", n.native(n.getFeed))
	for pattern, serve := range map[string]func(http.ResponseWriter, *call) error{
		"POST /api/management/feeds/create":                n.createFeed,
		"PUT /api/management/feeds/create":                 n.createFeed,
		"POST /api/management/feeds/update/{feed}":         n.updateFeed,
		"PATCH /api/management/feeds/update/{feed}":        n.updateFeed,
		"POST /api/management/feeds/delete/{feed}":         n.deleteFeed,
		"DELETE /api/management/feeds/delete/{feed}":       n.deleteFeed,
		"GET /api/management/storages/list":                n.listStorages,
		"POST /api/management/storages/create":             n.createStorage,
		"POST /api/management/storages/delete/{storage}":   n.removeStorage,
		"DELETE /api/management/storages/delete/{storage}": n.removeStorage,
		"GET /api/api-keys/list":                           n.listKeys,
		"POST /api/api-keys/create":                        n.createKey,
		"POST /api/api-keys/delete":                        n.deleteKey,
		"DELETE /api/api-keys/delete":                      n.deleteKey,
	} {
		mux.Handle(pattern, n.administration(serve))
	}
}

// call is a request to the native API.
type call struct {
	*http.Request
	id   auth.Identity
	feed *proget.Feed // that it names, see feedAPI
	ref  feed.Ref     // the version that it names, see api
}

// native does what every call needs, in the order in which feeds do it.
func (n *Node) native(serve func(w http.ResponseWriter, c *call) error) http.Handler {
	checked := func(w http.ResponseWriter, r *http.Request) (err error) {
		stale, err := n.sync(w, r, writes)
		if err != nil {
			return err
		}
		if stale {
			defer func() { err = doubt(err) }()
		}
		id, err := n.authority.Authenticate(r)
		if err != nil {
			return err
		}
		if err := n.guardSession(r, id); err != nil {
			return err
		}
		return serve(w, &call{Request: r, id: id})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.answer(w, r, feed.WriteText, checked)
	})
}

// feedAPI is native for a call that does a task in a feed.
func (n *Node) feedAPI(task proget.Task, serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return n.native(func(w http.ResponseWriter, c *call) (err error) {
		if c.feed, err = n.openFeed(c.Request, c.id, c.PathValue("feed")); err != nil {
			return err
		}
		if err := n.authority.AuthorizeIn(c.id, task, c.feed); err != nil {
			return err
		}
		if err := n.guardWrite(task); err != nil {
			return err
		}
		return serve(w, c)
	})
}

// api is feedAPI for a call that changes the version which it names.
func (n *Node) api(task proget.Task, serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return n.feedAPI(task, func(w http.ResponseWriter, c *call) (err error) {
		if c.ref, err = n.versionRef(c); err != nil {
			return err
		}
		return serve(w, c)
	})
}

// administration is native for a call that only administrators may make.
func (n *Node) administration(serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return n.native(func(w http.ResponseWriter, c *call) error {
		if err := n.authority.Authorize(c.id, proget.TaskAdminister, nil); err != nil {
			return err
		}
		if err := n.guardWrite(proget.TaskAdminister); err != nil {
			return err
		}
		return serve(w, c)
	})
}

// maxBody bounds the JSON that a call sends.
const maxBody = 64 << 10

// empty are the values that fields have in the objects that scripts send whole.
var empty = []string{"null", "false", `""`, "[]", "{}"}

// readJSON reads the body. A field that this server does not know is refused by
// name, since who sends it would believe that it is in force; unless its value is one
// of those that mean nothing in this call.
func readJSON(w http.ResponseWriter, c *call, into any, nothing ...string) error {
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, c.Body, maxBody)).Decode(&fields); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The body is not the JSON object that this call takes.")
	}
	for name, value := range fields {
		field, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(field))
		d.DisallowUnknownFields()
		err = d.Decode(into)
		unknown, isUnknown := strings.CutPrefix(fmt.Sprint(err), "json: unknown field ")
		switch {
		case err == nil, isUnknown && slices.Contains(nothing, string(value)):
		case isUnknown && unknown != strconv.Quote(name):
			return proget.WrapError(proget.ErrInvalid, err, "This server does not support %.60s in %.60q.", unknown, name)
		case isUnknown:
			return proget.WrapError(proget.ErrInvalid, err, "This server does not support %.60q.", name)
		default:
			return proget.WrapError(proget.ErrInvalid, err, "The field %.60q has a value of the wrong type.", name)
		}
	}
	return nil
}

// versionRef reads the version that the query names, as a whole.
func (n *Node) versionRef(c *call) (ref feed.Ref, err error) {
	t, err := n.typeOf(c.feed)
	if err != nil {
		return ref, err
	}
	id, err := readPackageID(c.URL.Query(), t)
	if err != nil {
		return ref, err
	}
	ref = feed.Ref{Feed: c.feed, NameKey: t.NameKey(id.name), VersionKey: t.VersionKey(id.version)}
	if id.qualifier != "" {
		err = n.vetQualifier(c.Context(), t, ref, id.qualifier)
	}
	return ref, err
}

// uploadPackage takes a package file of whatever type; the path says what it is
// called, and where it goes in feeds that have folders.
func (n *Node) uploadPackage(w http.ResponseWriter, c *call) error {
	t, err := n.typeOf(c.feed)
	if err != nil {
		return err
	}
	if t.Form == nil {
		return proget.Errorf(proget.ErrInvalid, "Feed %s has the type %s, whose packages come from their clients only.", c.feed.Name, c.feed.Type)
	}
	body, err := feed.OpenBody(c.Request)
	if err != nil {
		return err
	}
	name := cmp.Or(c.PathValue("file"), body.Path())
	if err := n.vet(c.Context(), c.feed, name); err != nil {
		return err
	}
	_, err = n.publisher.Publish(c.Context(), feed.Upload{Feed: c.feed, Body: body, Size: body.Size, Name: name, By: c.id.Principal})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK) // as ProGet's documentation has it
	return nil
}

func (n *Node) deletePackage(w http.ResponseWriter, c *call) error {
	if err := n.publisher.Delete(c.Context(), c.ref, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// shownDeleted bounds one answer about deleted versions.
const shownDeleted = 1000

// deletion is a deleted version that can be brought back.
type deletion struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Tags    []string  `json:"tags,omitempty"` // that pointed at it
	Deleted time.Time `json:"deleted"`
	By      string    `json:"deletedBy"`
}

// listDeleted answers with the newest deleted versions, or with those below the
// id that ?before= names.
func (n *Node) listDeleted(w http.ResponseWriter, c *call) error {
	before, err := idParameter(c.Request, "before")
	if err != nil {
		return err
	}
	all, err := n.cfg.DB.ListDeleted(c.Context(), c.feed.ID, before, shownDeleted)
	if err != nil {
		return err
	}
	answer := []deletion{}
	for _, d := range all {
		answer = append(answer, deletion{d.ID, d.Name, d.Version, d.Tags, d.At, d.By})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// restorePackage brings the deleted version back that ?id= names.
func (n *Node) restorePackage(w http.ResponseWriter, c *call) error {
	id, err := idParameter(c.Request, "id")
	if err != nil {
		return err
	}
	if _, err := n.publisher.Restore(c.Context(), c.feed, id, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// idParameter reads a number out of the query; 0 if it is not there.
func idParameter(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, proget.WrapError(proget.ErrInvalid, err, "%s=%.60s is not a number.", name, text)
	}
	return id, nil
}
