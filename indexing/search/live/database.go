package live

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// askDatabase searches the packages' keys: it finds those that contain the words in
// their order, the whole name first. If the text has no words, it finds the whole name
// only. It applies filters that need a package's content to the first maxFiltered
// packages.
func (x *Index) askDatabase(ctx context.Context, f *proget.Feed, q search.Query) (feed.Hits, error) {
	if header, ok := ctx.Value(headerKey{}).(http.Header); ok {
		header.Add("Warning", `199 proget "Search answered from the database"`)
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWaits)
	defer cancel()
	asked := db.PackageQuery{FeedID: f.ID, Prefix: strings.ToLower(q.NamePrefix), Exact: strings.ToLower(strings.TrimSpace(q.Text)),
		Prerelease: q.Prerelease, Skip: q.Skip, Limit: q.Take}
	runs := search.Runs(q.Text)
	for _, run := range runs[:min(len(runs), maxParts)] {
		asked.Parts = append(asked.Parts, run.Word)
	}
	if asked.Whole = asked.Exact != "" && len(runs) == 0; asked.Whole && !strings.HasPrefix(asked.Exact, asked.Prefix) {
		return feed.Hits{}, nil
	}
	filtered := q.Type != "" || q.Tag != "" || q.Old
	if filtered {
		asked.Skip, asked.Limit = 0, maxFiltered
	}
	keys, total, err := x.cfg.DB.FindPackages(ctx, asked)
	if err != nil || !filtered {
		return feed.Hits{Total: total, Keys: keys}, err
	}
	return x.filter(ctx, f, q, keys)
}

func (x *Index) filter(ctx context.Context, f *proget.Feed, q search.Query, keys []string) (feed.Hits, error) {
	var found []string
	for _, key := range keys {
		d, err := x.document(ctx, f, key)
		if err != nil {
			return feed.Hits{}, err
		}
		if d != nil && d.Visible(q.Prerelease, q.Old) && has(d.Types, q.Type) && has(d.Tags, q.Tag) {
			found = append(found, key)
		}
	}
	page := found[min(q.Skip, len(found)):]
	return feed.Hits{Total: len(found), Keys: page[:min(q.Take, len(page))]}, nil
}

func has(list []string, want string) bool {
	return want == "" || slices.ContainsFunc(list, func(each string) bool { return strings.EqualFold(each, want) })
}

// headerKey is the context key of the response's header.
type headerKey struct{}

// Admit gives searches access to the response's header while the index may be
// incomplete, so that they can state there that the database answered.
func (x *Index) Admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !x.behind.Load() {
			next.ServeHTTP(w, r)
			return
		}
		told := r.WithContext(context.WithValue(r.Context(), headerKey{}, w.Header()))
		next.ServeHTTP(w, told)
		r.Pattern = told.Pattern // traces are named after the pattern
	})
}
