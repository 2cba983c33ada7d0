package live

import (
	"context"
	"errors"
	"slices"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// changes describes the packages with the given keys as they are now.
func (x *Index) changes(ctx context.Context, f *proget.Feed, keys []string) ([]search.Change, error) {
	changes := make([]search.Change, len(keys))
	for i, key := range keys {
		d, err := x.document(ctx, f, key)
		if err != nil {
			return nil, err
		}
		changes[i] = search.Change{Key: key, Document: d}
	}
	return changes, nil
}

// document describes a package for search. It returns nil if the package is gone, is a
// folder or has no listed version.
func (x *Index) document(ctx context.Context, f *proget.Feed, key string) (*search.Document, error) {
	t := x.types[f.Type]
	if t == nil || t.Folder != nil && t.Folder(key) {
		return nil, nil
	}
	p, err := x.cfg.Catalog.Package(ctx, f, key)
	if errors.Is(err, proget.ErrNotFound) {
		return nil, nil
	}
	if errors.As(err, new(*indexing.PanicError)) { // it would panic each time, and delay the feed's other packages
		x.cfg.Logger.ErrorContext(ctx, "a feed type panicked on a package; searches will not find it", "feed", f.Name, "package", key, "error", err, indexing.Stack(err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	newest, v := p.Latest(feed.Listed), p.Latest(feed.Stable, feed.Listed)
	if newest == nil {
		return nil, nil
	}
	d := &search.Document{Key: key, Name: v.Name, Stable: !v.Prerelease}
	for _, each := range p.Versions {
		d.Downloads += each.Downloads
	}
	x.describe(ctx, f, d, p, v, newest)
	return d, nil
}

// describe adds what the feed's type says about a package. If the type panics, the
// package is found by its name only: the process must not end, and then again at each
// start.
func (x *Index) describe(ctx context.Context, f *proget.Feed, d *search.Document, p *feed.Package, shown, newest *proget.Version) {
	bare := *d
	err := indexing.Safely(func() error {
		summarize(x.types[f.Type], d, p, shown, newest)
		return nil
	})
	if err != nil {
		*d = bare
		x.cfg.Logger.ErrorContext(ctx, "a feed type panicked on a package; searches will find it only by its name",
			"feed", f.Name, "package", shown.Name, "error", err, indexing.Stack(err))
	}
}

func summarize(t *feed.Type, d *search.Document, p *feed.Package, shown, newest *proget.Version) {
	sum := t.Summary(shown)
	d.Title, d.Description, d.Authors, d.Owner, d.Tags, d.Types = sum.Title, sum.Description, sum.Authors, sum.Owners, sum.Tags, sum.Types
	if newest != shown {
		d.Types = slices.Concat(sum.Types, t.Summary(newest).Types)
	}
	if t.Modern != nil {
		older := func(v *proget.Version) bool { return v.Status.Listed && !t.Modern(v) }
		d.Modern = p.Latest(older) == nil
		d.ModernStable = p.Latest(func(v *proget.Version) bool { return older(v) && !v.Prerelease }) == nil
	}
}
