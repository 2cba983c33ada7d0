package oci

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// rootHandler serves the paths beside the feeds.
type rootHandler struct{ services feed.Services }

func newRoot(s feed.Services) map[string]func(w http.ResponseWriter, r *feed.Request) error {
	h := &rootHandler{s}
	return map[string]func(w http.ResponseWriter, r *feed.Request) error{"": h.check, "_catalog": h.catalog, "_auth": h.token}
}

// check tells a client whether it is signed in. Clients decide here, once, how they
// authenticate, so check asks for a token even where anybody may read; the token
// service gives everybody one.
func (h *rootHandler) check(w http.ResponseWriter, r *feed.Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return readOnly(w, r)
	}
	if r.Principal.Anonymous() && r.Header.Get("Authorization") == "" {
		return proget.WrapError(proget.ErrUnauthenticated, unauthorized, "Ask the token service for a token.")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}\n"))
	return nil
}

func readOnly(w http.ResponseWriter, r *feed.Request) error {
	known := func(method string) bool { return method == http.MethodGet || method == http.MethodHead }
	return feed.Unknown(w, r.Request, known, "images are at /v2/{feed}/{repository}/.")
}

// maxCatalog bounds the repositories in one response.
const maxCatalog = 1000

// catalog lists the repositories of the feeds that the caller may view.
func (h *rootHandler) catalog(w http.ResponseWriter, r *feed.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return readOnly(w, r)
	}
	limit, err := readLimit(r, maxCatalog)
	if err != nil {
		return err
	}
	names, err := h.repositories(r, limit+1)
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, "application/json", map[string]any{"repositories": append([]string{}, page(w, r, names, limit)...)})
}

// repositories returns up to limit names in order, after the last one that the client
// has.
func (h *rootHandler) repositories(r *feed.Request, limit int) ([]string, error) {
	last := r.URL.Query().Get("last")
	prefix := func(f *proget.Feed) string { return repository(f, "") } // "-" and "." sort before the slash
	slices.SortFunc(r.Feeds, func(a, b *proget.Feed) int { return strings.Compare(prefix(a), prefix(b)) })
	var names []string
	for _, f := range r.Feeds {
		after, found := strings.CutPrefix(last, prefix(f))
		if !found {
			after = ""
		}
		if !found && prefix(f) < last || len(names) >= limit {
			continue
		}
		packages, err := h.services.Packages.Names(r.Context(), f, after, limit-len(names))
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			names = append(names, repository(f, p.Key))
		}
	}
	return names, nil
}

// token responds with a token for the sender: for Basic credentials, as in Docker's
// Token Authentication Specification, or for those in a form, as in its OAuth2
// companion. Clients fall back from the second to the first.
func (h *rootHandler) token(w http.ResponseWriter, r *feed.Request) error {
	from := r.Request
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if r.PostFormValue("grant_type") != "password" {
			return proget.WrapError(proget.ErrInvalid, unsupported, "Only the grant type password is supported.")
		}
		from = r.Clone(r.Context())
		from.SetBasicAuth(r.PostForm.Get("username"), r.PostForm.Get("password"))
	default:
		known := func(method string) bool { return method == http.MethodGet || method == http.MethodPost }
		return feed.Unknown(w, r.Request, known, "it is the token service.")
	}
	token, good, err := h.services.Tokens.Exchange(from)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{ // an error means that the client went away
		"token": token, "access_token": token, "expires_in": int(good.Round(time.Second).Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339)})
	return nil
}

// challenge sends clients to the token service, with a scope that they shall request.
// Clients insist on one, although tokens here have none.
func challenge(base string, r *http.Request) string {
	const root = "/v2/"
	path := strings.TrimPrefix(r.URL.Path, root)
	if path == "_auth" {
		return `Basic realm="ProGet", charset="UTF-8"`
	}
	service := base
	if u, err := url.Parse(base); err == nil {
		service = u.Host
	}
	header := `Bearer realm="` + base + root + `_auth",service="` + service + `"`
	if path == "_catalog" {
		return header + `,scope="registry:catalog:*"`
	}
	name, rest, _ := strings.Cut(path, "/")
	rt := parse(r.Method, rest)
	if rt.action == unknown || checkName(rt.repo) != nil {
		return header
	}
	actions := "pull"
	switch operations[rt.action] {
	case proget.TaskPublish:
		actions = "pull,push"
	case proget.TaskManage:
		actions = "delete"
	}
	return header + `,scope="repository:` + url.PathEscape(name) + "/" + rt.repo + ":" + actions + `"`
}
