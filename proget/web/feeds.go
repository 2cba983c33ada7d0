package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/proget-go/ha/proget"
)

// feedRow is a feed in a list.
type feedRow struct {
	Name, Type, Description string
	URL                     string // URL of its page; "" if it has none
	Settings                string // URL of its settings, for administrators
	Endpoint                string // URL for its clients
	Active                  bool
	Totals                  *Totals // nil if unknown
}

// listFeeds shows every feed that the visitor may see.
func (s *site) listFeeds(v *visit) error {
	rows, err := s.feedRows(v, func(f *proget.Feed) (bool, error) {
		visible, err := s.Authority.Allows(v.id, proget.TaskView, f)
		return visible && f.Active && s.types[f.Type] != nil, err
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 && v.id.Anonymous() {
		return v.redirect(signInURL(v.comeBack()))
	}
	return s.render(v, http.StatusOK, page{name: "feeds", title: "Feeds", section: "feeds", view: rows})
}

// feedRows returns the rows of the feeds for which show reports true.
func (s *site) feedRows(v *visit, show func(*proget.Feed) (bool, error)) ([]feedRow, error) {
	feeds, err := s.Catalog.Feeds(v.Context())
	if err != nil {
		return nil, err
	}
	totals := s.totals(v)
	var rows []feedRow
	for _, f := range feeds {
		shown, err := show(f)
		if err != nil {
			return nil, err
		}
		if !shown {
			continue
		}
		row := feedRow{Name: f.Name, Type: f.Type, Settings: settingsURL(f), Description: f.Description, Active: f.Active}
		if t := s.types[f.Type]; t != nil {
			row.Type, row.URL, row.Endpoint = t.Title, feedURL(f), t.StartURL(s.BaseURL(v.client), f)
		}
		if sum, ok := totals[f.ID]; ok {
			row.Totals = &sum
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// totals returns the feeds' totals, as far as they are known. A list of feeds is useful
// without them.
func (s *site) totals(v *visit) map[int64]Totals {
	if v.stale {
		return nil // the database would not answer
	}
	totals, err := s.Stats(v.Context())
	if err != nil && v.Context().Err() != context.Canceled {
		s.Logger.WarnContext(v.Context(), "the feeds' totals are not known", "error", err)
	}
	return totals
}

func feedURL(f *proget.Feed) string { return "/feeds/" + url.PathEscape(f.Name) }
