package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
)

// A Config says what the calls report and change. All fields except Vet and Logger are
// required.
type Config struct {
	Catalog   *catalog.Catalog
	Files     feed.Files
	Publisher *publish.Publisher
	Authority *auth.Authority
	Admin     *admin.Administrator
	Cluster   *cluster.Registry
	Types     []feed.Type

	// Deleted returns the newest deleted versions of a feed whose ID is less than
	// before; 0 means no bound. It returns at most limit.
	Deleted func(ctx context.Context, feedID, before int64, limit int) ([]proget.Deletion, error)

	// Vet returns an error if a file of that name cannot be uploaded to the feed; nil
	// accepts every name.
	Vet func(ctx context.Context, f *proget.Feed, name string) error

	// Handle returns a handler that brings memory up to date with the request,
	// authenticates the sender, calls serve and answers with the error that it returns.
	Handle func(serve Serve) http.Handler

	// GuardChange returns an error if this server must not accept changes.
	GuardChange func() error

	// BaseURL returns the URL at which the client reaches the cluster, without a
	// trailing slash.
	BaseURL func(r *http.Request) string

	Logger *slog.Logger // default: slog.Default()
}

// Serve answers a call, or returns an error before it has written anything.
type Serve func(w http.ResponseWriter, r *http.Request, id auth.Identity) error

// api is the state that all calls share.
type api struct {
	Config
	lists feed.Gate // for lists of whole feeds: each reads every package
}

// Mount calls handle with the http.ServeMux pattern and the handler of each call.
func Mount(c Config, handle func(pattern string, h http.Handler)) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	a := &api{Config: c, lists: make(feed.Gate, 2)}
	for pattern, h := range a.calls() {
		handle(pattern, h)
	}
}

// calls returns the handlers by pattern: the requests of ProGet's own client, and the
// other methods that its documentation names.
func (a *api) calls() map[string]http.Handler {
	calls := map[string]http.Handler{
		"GET /api/packages/{feed}":                         a.in(proget.TaskView, a.tellPackages),
		"GET /api/packages/{feed}/latest":                  a.in(proget.TaskView, a.listLatest),
		"GET /api/packages/{feed}/versions":                a.in(proget.TaskView, a.listVersions),
		"GET /api/packages/{feed}/download":                a.in(proget.TaskView, a.downloadPackage),
		"POST /api/packages/{feed}/delete":                 a.version(proget.TaskManage, a.deletePackage),
		"DELETE /api/packages/{feed}/delete":               a.version(proget.TaskManage, a.deletePackage),
		"POST /api/packages/{feed}/status":                 a.version(proget.TaskManage, a.packageStatus),
		"PUT /api/packages/{feed}/status":                  a.version(proget.TaskManage, a.packageStatus),
		"GET /api/packages/{feed}/deleted":                 a.in(proget.TaskManage, a.listDeleted),
		"POST /api/packages/{feed}/restore":                a.in(proget.TaskManage, a.restorePackage),
		"GET /api/management/feeds/list":                   a.anybody(a.listFeeds),
		"GET /api/management/feeds/get/{feed}":             a.anybody(a.getFeed),
		"POST /api/management/feeds/create":                a.administration(a.createFeed),
		"PUT /api/management/feeds/create":                 a.administration(a.createFeed),
		"POST /api/management/feeds/update/{feed}":         a.administration(a.updateFeed),
		"PATCH /api/management/feeds/update/{feed}":        a.administration(a.updateFeed),
		"POST /api/management/feeds/delete/{feed}":         a.administration(a.deleteFeed),
		"DELETE /api/management/feeds/delete/{feed}":       a.administration(a.deleteFeed),
		"GET /api/management/storages/list":                a.administration(a.listStorages),
		"POST /api/management/storages/create":             a.administration(a.createStorage),
		"POST /api/management/storages/delete/{storage}":   a.administration(a.removeStorage),
		"DELETE /api/management/storages/delete/{storage}": a.administration(a.removeStorage),
		"GET /api/api-keys/list":                           a.administration(a.listKeys),
		"POST /api/api-keys/create":                        a.administration(a.createKey),
		"POST /api/api-keys/delete":                        a.administration(a.deleteKey),
		"DELETE /api/api-keys/delete":                      a.administration(a.deleteKey),
	}
	for _, method := range []string{"PUT", "POST"} {
		calls[method+" /api/packages/{feed}/upload"] = a.in(proget.TaskPublish, a.uploadPackage)
		calls[method+" /api/packages/{feed}/upload/{file...}"] = a.in(proget.TaskPublish, a.uploadPackage)
	}
	return calls
}

// call is a request to the native API.
type call struct {
	*http.Request
	id   auth.Identity
	feed *proget.Feed // the feed that it names; see in
	ref  feed.Ref     // the version that it names; see version
}

// anybody returns the handler of a call without a permission check.
func (a *api) anybody(serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return a.Handle(func(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
		return serve(w, &call{Request: r, id: id})
	})
}

// in returns the handler of a call that performs a task in a feed.
func (a *api) in(task proget.Task, serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return a.anybody(func(w http.ResponseWriter, c *call) (err error) {
		if c.feed, err = a.Catalog.Feed(c.Context(), c.PathValue("feed")); err != nil {
			return a.Authority.Disclose(c.id, err)
		}
		if err := a.Authority.AuthorizeIn(c.id, task, c.feed); err != nil {
			return err
		}
		if task.Rank() > proget.TaskView.Rank() {
			if err := a.GuardChange(); err != nil {
				return err
			}
		}
		return serve(w, c)
	})
}

// version returns the handler of a call that changes the version which it names.
func (a *api) version(task proget.Task, serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return a.in(task, func(w http.ResponseWriter, c *call) (err error) {
		if c.ref, err = a.versionRef(c); err != nil {
			return err
		}
		return serve(w, c)
	})
}

// administration returns the handler of a call for administrators only.
func (a *api) administration(serve func(w http.ResponseWriter, c *call) error) http.Handler {
	return a.anybody(func(w http.ResponseWriter, c *call) error {
		if err := a.Authority.Authorize(c.id, proget.TaskAdminister, nil); err != nil {
			return err
		}
		if err := a.GuardChange(); err != nil {
			return err
		}
		return serve(w, c)
	})
}

// maxBody bounds the JSON body of a call in bytes: it fits the longest retention rules
// that admin.CheckRules accepts.
const maxBody = 8 << 20

// empty are values that mean nothing in fields of objects that scripts send whole.
var empty = []string{"null", "false", `""`, "[]", "{}"}

// readJSON decodes the body into a struct. It refuses an unknown field by name, because
// the client would believe that it has an effect, unless the field's value is one of
// nothing.
func readJSON(w http.ResponseWriter, c *call, into any, nothing ...string) error {
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, c.Body, maxBody)).Decode(&fields); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return proget.WrapError(proget.ErrTooLarge, err, "The body is larger than %d MiB, the most that a call accepts.", maxBody>>20)
		}
		return proget.WrapError(proget.ErrInvalid, err, "The body is not a valid JSON object.")
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
			return proget.WrapError(proget.ErrInvalid, err, "This server does not support the field %.60s in %.60q.", unknown, name)
		case isUnknown:
			return proget.WrapError(proget.ErrInvalid, err, "This server does not support the field %.60q.", name)
		default:
			return proget.WrapError(proget.ErrInvalid, err, "The field %.60q has a value of the wrong type.", name)
		}
	}
	return nil
}

// versionRef returns the version that the query names, with the file if there is a
// qualifier.
func (a *api) versionRef(c *call) (ref feed.Ref, err error) {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return ref, err
	}
	id, err := readPackageID(c.URL.Query(), t)
	if err != nil {
		return ref, err
	}
	file, err := fileName(id.qualifier)
	return feed.Ref{Feed: c.feed, NameKey: t.NameKey(id.name), VersionKey: t.VersionKey(id.version), File: file}, err
}

// uploadPackage publishes a package file of any type. The path contains its name and,
// in feeds with folders, its folder.
func (a *api) uploadPackage(w http.ResponseWriter, c *call) error {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return err
	}
	if t.Form == nil {
		return proget.Errorf(proget.ErrInvalid, "Packages cannot be uploaded to feed %s by this call: use a client of its type, %s.", c.feed.Name, c.feed.Type)
	}
	body, err := feed.OpenBody(c.Request)
	if err != nil {
		return err
	}
	name := cmp.Or(c.PathValue("file"), body.Path())
	if err := a.vet(c, name); err != nil {
		return err
	}
	_, err = a.Publisher.Publish(c.Context(), feed.Upload{Feed: c.feed, Body: body, Size: body.Size, Name: name, By: c.id.Principal})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK) // as ProGet's documentation says
	return nil
}

func (a *api) vet(c *call, name string) error {
	if a.Vet == nil {
		return nil
	}
	return a.Vet(c.Context(), c.feed, name)
}

func (a *api) deletePackage(w http.ResponseWriter, c *call) error {
	ref := c.ref
	ref.AllowBlocked = true
	if err := a.Publisher.Delete(c.Context(), ref, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// shownDeleted bounds the deleted versions in one response.
const shownDeleted = 1000

// deletion is a deleted version that can be restored.
type deletion struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Tags    []string  `json:"tags,omitempty"` // tags that pointed at it
	Deleted time.Time `json:"deleted"`
	By      string    `json:"deletedBy"`
}

// listDeleted responds with the newest deleted versions, or with those whose ID is less
// than ?before=.
func (a *api) listDeleted(w http.ResponseWriter, c *call) error {
	before, err := idParameter(c.Request, "before")
	if err != nil {
		return err
	}
	all, err := a.Deleted(c.Context(), c.feed.ID, before, shownDeleted)
	if err != nil {
		return err
	}
	answer := []deletion{}
	for _, d := range all {
		answer = append(answer, deletion{d.ID, d.Name, d.Version, d.Tags, d.At, d.By})
	}
	feed.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// restorePackage restores the deleted version that ?id= names.
func (a *api) restorePackage(w http.ResponseWriter, c *call) error {
	id, err := idParameter(c.Request, "id")
	if err != nil {
		return err
	}
	if _, err := a.Publisher.Restore(c.Context(), c.feed, id, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// idParameter returns a number from the query; 0 if it is missing.
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
