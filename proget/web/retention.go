package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/proget-go/ha/proget"
)

// retentionView is the data of retention.tmpl.
type retentionView struct {
	refusal
	Feed         string
	Active       bool
	URL, FeedURL string // URLs of this page, and of the feed's settings
	Rules        []ruleRow
	Entered      ruleForm
	Run, DryRun  *jobRow // the newest jobs; nil if there was none
}

type ruleRow struct {
	ID   int64
	Text string
}

// ruleForm is a rule as the visitor entered it.
type ruleForm struct {
	ID                                      string // of the rule to change; "" for a new one
	Prereleases                             bool
	KeepNewest, UnusedDays, AgeDays         string
	MaxDownloads                            string
	Names, KeepNames, Versions, KeepVersion string
	Quota                                   string // MiB
	PerPackage                              bool
}

func retentionURL(f *proget.Feed) string { return settingsURL(f) + "/retention" }

// showRetention shows the rules of a feed, and in the form the rule that ?rule= names.
func (s *site) showRetention(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	rules, err := s.Admin.Retention(v.Context())
	if err != nil {
		return err
	}
	var entered ruleForm
	if id := v.URL.Query().Get("rule"); id != "" {
		i, err := ruleIndex(rules[f.ID], id)
		if err != nil {
			return err
		}
		entered = newRuleForm(&rules[f.ID][i])
	}
	return s.retention(v, f, entered, refusal{status: http.StatusOK})
}

func (s *site) retention(v *visit, f *proget.Feed, entered ruleForm, r refusal) error {
	rules, err := s.Admin.Retention(v.Context())
	if err != nil {
		return err
	}
	view := retentionView{refusal: r, Feed: f.Name, Active: f.Active, URL: retentionURL(f), FeedURL: settingsURL(f), Entered: entered}
	for i := range rules[f.ID] {
		rule := &rules[f.ID][i]
		view.Rules = append(view.Rules, ruleRow{rule.ID, rule.String()})
	}
	for dryRun, row := range map[bool]**jobRow{false: &view.Run, true: &view.DryRun} {
		j, err := s.Admin.LastRetention(v.Context(), f, dryRun)
		if errors.Is(err, proget.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		found := s.newJobRow(j)
		*row = &found
	}
	// The page must not reload itself, because somebody may be filling in its form.
	return s.render(v, r.status, page{name: "retention", title: "Retention rules of " + f.Name, section: "administration", view: view})
}

// ruleIndex finds a rule by its ID. If there is none, somebody else has changed or
// deleted it.
func ruleIndex(rules []proget.RetentionRule, id string) (int, error) {
	i := slices.IndexFunc(rules, func(r proget.RetentionRule) bool { return strconv.FormatInt(r.ID, 10) == id })
	if i < 0 {
		return 0, proget.Errorf(proget.ErrConflict, "The rules have changed in the meantime. Check them, and try again.")
	}
	return i, nil
}

func (s *site) saveRule(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	entered := readRuleForm(v)
	rule, err := entered.rule()
	if err == nil {
		err = s.Admin.EditRetention(v.Context(), f.Name, v.id.Principal, func(rules []proget.RetentionRule) ([]proget.RetentionRule, error) {
			if entered.ID == "" {
				return addRule(rules, rule), nil
			}
			i, err := ruleIndex(rules, entered.ID)
			if err == nil {
				rules[i] = rule
			}
			return rules, err
		})
	}
	return s.changedRetention(v, f, entered, err)
}

// addRule adds a rule, unless there is an equal one: a duplicate has no effect and most
// often comes from a form sent twice.
func addRule(rules []proget.RetentionRule, rule proget.RetentionRule) []proget.RetentionRule {
	if slices.ContainsFunc(rules, func(r proget.RetentionRule) bool { return r.String() == rule.String() }) {
		return rules
	}
	return append(rules, rule)
}

func (s *site) deleteRule(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	err = s.Admin.EditRetention(v.Context(), f.Name, v.id.Principal, func(rules []proget.RetentionRule) ([]proget.RetentionRule, error) {
		i, err := ruleIndex(rules, v.PostFormValue("rule"))
		if err != nil {
			return nil, err
		}
		return slices.Delete(rules, i, i+1), nil
	})
	return s.changedRetention(v, f, ruleForm{}, err)
}

// runRetention queues a job that applies the rules, or only previews that. If one is
// already queued or running, that is fine.
func (s *site) runRetention(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	dryRun, err := formFlag(v, "dry")
	if err != nil {
		return err
	}
	return s.changedRetention(v, f, ruleForm{}, s.Admin.RunRetention(v.Context(), f, dryRun, v.id.Principal))
}

// changedRetention answers a change: it redirects, or shows the page with what is
// wrong.
func (s *site) changedRetention(v *visit, f *proget.Feed, entered ruleForm, err error) error {
	if r, ok := refused(err); ok {
		return s.retention(v, f, entered, r)
	}
	if err != nil {
		return err
	}
	return v.redirect(retentionURL(f))
}

func readRuleForm(v *visit) ruleForm {
	text := func(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }
	return ruleForm{ID: text("rule"), Prereleases: text("prereleases") == "true", KeepNewest: text("keep-newest"), UnusedDays: text("unused-days"),
		AgeDays: text("age-days"), MaxDownloads: text("max-downloads"), Names: text("names"), KeepNames: text("keep-names"),
		Versions: text("versions"), KeepVersion: text("keep-versions"), Quota: text("quota"), PerPackage: text("per-package") == "true"}
}

func newRuleForm(r *proget.RetentionRule) ruleForm {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	join := func(patterns []string) string { return strings.Join(patterns, ", ") }
	form := ruleForm{ID: strconv.FormatInt(r.ID, 10), Prereleases: r.Prereleases, KeepNewest: number(r.KeepNewest), UnusedDays: number(r.UnusedDays),
		AgeDays: number(r.AgeDays), Names: join(r.Names), KeepNames: join(r.KeepNames), Versions: join(r.Versions), KeepVersion: join(r.KeepVersions),
		PerPackage: r.PerPackage}
	if r.MaxDownloads != nil {
		form.MaxDownloads = strconv.FormatInt(*r.MaxDownloads, 10)
	}
	if r.QuotaKB > 0 {
		form.Quota = strconv.FormatFloat(float64(r.QuotaKB)/1024, 'f', -1, 64)
	}
	return form
}

// rule returns the rule that was entered.
func (form *ruleForm) rule() (proget.RetentionRule, error) {
	list := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	}
	r := proget.RetentionRule{Prereleases: form.Prereleases, Names: list(form.Names), KeepNames: list(form.KeepNames),
		Versions: list(form.Versions), KeepVersions: list(form.KeepVersion), PerPackage: form.PerPackage && form.Quota != ""}
	for _, field := range []struct {
		text string
		to   *int
	}{{form.KeepNewest, &r.KeepNewest}, {form.UnusedDays, &r.UnusedDays}, {form.AgeDays, &r.AgeDays}} {
		if field.text == "" {
			continue
		}
		n, err := strconv.Atoi(field.text)
		if err != nil {
			return r, noNumber(field.text)
		}
		*field.to = n
	}
	if form.MaxDownloads != "" {
		n, err := strconv.ParseInt(form.MaxDownloads, 10, 64)
		if err != nil {
			return r, noNumber(form.MaxDownloads)
		}
		r.MaxDownloads = &n
	}
	if form.Quota != "" {
		mib, err := strconv.ParseFloat(form.Quota, 64)
		if err != nil || !(mib > 0 && mib < 1<<40) {
			return r, noNumber(form.Quota)
		}
		r.QuotaKB = max(int64(mib*1024), 1)
	}
	return r, nil
}

func noNumber(text string) error {
	return proget.Errorf(proget.ErrInvalid, "%.60q is not valid: use a whole number for versions, days and downloads, and a number above 0 for the quota.", text)
}
