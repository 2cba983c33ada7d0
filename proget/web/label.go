package web

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// shownDigits is how many digits of a digest suffice to tell it from others at sight.
const shownDigits = 12

// A label is what pages show as a version.
type label struct {
	Text string // a tag, the version or its shortened digest; "" if people never see versions
	Full string // the version if Text is not the version, otherwise ""
}

// labelOf returns the label of a version at which these tags point, in their order.
func labelOf(t *feed.Type, tags []string, v *proget.Version) label {
	if t.TagsName && len(tags) > 0 {
		return label{tags[0], v.Version}
	}
	return shorten(t, v.Version)
}

// shorten returns the label of a version without tags: for a digest, its first digits.
func shorten(t *feed.Type, version string) label {
	if t.Naming.Unversioned {
		return label{}
	}
	_, digits, ok := strings.Cut(version, ":")
	if !t.TagsName || !ok || len(digits) <= shownDigits {
		return label{version, ""}
	}
	return label{digits[:shownDigits], version}
}

// tagsOf returns the tags that point at a version, the most specific first: 1.2.3
// before 1.2, and latest last.
func tagsOf(p *proget.Package, key string) []string {
	var tags []string
	for tag, at := range p.Tags {
		if at == key {
			tags = append(tags, tag)
		}
	}
	sortTags(tags)
	return tags
}

func sortTags(tags []string) {
	weight := func(tag string) int {
		if tag == "latest" {
			return 0
		}
		return len(tag)
	}
	slices.SortFunc(tags, func(a, b string) int { return cmp.Or(cmp.Compare(weight(b), weight(a)), strings.Compare(b, a)) })
}

// tagsByVersion returns the tags of all versions, by version key, each in order.
func tagsByVersion(p *proget.Package) map[string][]string {
	all := make(map[string][]string)
	for tag, at := range p.Tags {
		all[at] = append(all[at], tag)
	}
	for _, tags := range all {
		sortTags(tags)
	}
	return all
}
