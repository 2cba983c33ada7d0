// Package oci serves container images and other artifacts as a registry, to Docker,
// Podman, Skopeo, Helm, ORAS and similar clients. It implements the OCI Distribution
// Specification 1.1.1 (spec.md of opencontainers/distribution-spec), the manifests of
// the OCI Image Specification 1.1 and of Docker's Image Manifest Version 2, Schema 2,
// and Docker's Token Authentication Specification.
//
// # How a registry maps to feeds
//
// The first segment of a repository's name is the feed: /v2/{feed}/{repo…}. A
// repository is a package, a manifest is a version whose key is its digest, and a tag
// is a tag. The blobs that a manifest names are files of its version, so they live as
// long as it does, and each is stored once, whoever pushes it.
//
// A blob arrives before the manifest that names it. Until then it is held under the
// repository's name, for as long as an unfinished upload is kept. A blob is visible
// only in the repositories that it was pushed to or mounted in: knowing its digest does
// not make it visible elsewhere.
//
// Tokens identify the sender, but grant nothing: every request is checked against the
// permissions at that time.
package oci

import (
	"net/url"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// New returns the feed type "docker".
func New() feed.Type {
	same := func(text string) string { return text }
	return feed.Type{
		Name: "docker", Title: "Docker", Mount: "v2",
		FeedName: feedName, Address: address,
		Algorithms: []proget.Algorithm{proget.SHA512},
		NameKey:    same, VersionKey: same, CompareVersions: asPushed,
		TagsName: true, Needs: needs,
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install, Main: tagged,
		Handler:   func(s feed.Services) feed.Handler { return &handler{s} },
		Root:      newRoot,
		Challenge: challenge, WriteError: writeError,
	}
}

// asPushed is feed.Type's CompareVersions. Digests have no order, so manifests stay in
// the order in which they were pushed.
func asPushed(_, _ string) int { return 0 }

// The annotations that pages show, from annotations.md of the OCI Image Specification.
const (
	annotationTitle       = "org.opencontainers.image.title"
	annotationDescription = "org.opencontainers.image.description"
	annotationAuthors     = "org.opencontainers.image.authors"
	annotationURL         = "org.opencontainers.image.url"
	annotationLicenses    = "org.opencontainers.image.licenses"
)

func summary(v *proget.Version) feed.Summary {
	d := readData(v)
	s := feed.Summary{
		Title: d.Annotations[annotationTitle], Description: d.Annotations[annotationDescription],
		Authors: d.Annotations[annotationAuthors], ProjectURL: d.Annotations[annotationURL], License: d.Annotations[annotationLicenses],
	}
	if d.ArtifactType != "" {
		s.Types = []string{d.ArtifactType}
	}
	return s
}

// tagged returns the manifests that people have tagged. What clients attach to an image
// has no tag, or one derived from the image's digest; of an image for several
// platforms, only the index has a tag.
func tagged(p *proget.Package) []*proget.Version {
	named := make(map[string]bool)
	for tag, key := range p.Tags {
		if !strings.HasPrefix(tag, "sha256-") && !strings.HasPrefix(tag, "sha512-") {
			named[key] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(p.Versions), func(v *proget.Version) bool { return !named[v.Key] })
}

// feedName is feed.Type's FeedName. A feed's name is the first component of the names of
// its repositories.
func feedName(name string) (string, error) {
	lower := strings.ToLower(name)
	if !validName.MatchString(lower) {
		return "", proget.Errorf(proget.ErrInvalid, "Docker and similar clients cannot name a feed %.60q: between two letters or digits, use one '.', one or two '_', or any number of '-'.", name)
	}
	return lower, nil
}

// address returns the prefix of a feed's image names. It has no scheme and no /v2/,
// which clients add, and no capitals, which they refuse.
func address(base string, f *proget.Feed) string {
	host := base
	if u, err := url.Parse(base); err == nil {
		host = u.Host
	}
	return host + "/" + strings.ToLower(f.Name)
}

func install(base string, f *proget.Feed, v *proget.Version) []feed.Instruction {
	separator := ":"
	if strings.Contains(v.Version, ":") { // a digest; tags have no colon
		separator = "@"
	}
	image := address(base, f) + "/" + v.Name + separator + v.Version
	return []feed.Instruction{
		{Tool: "Docker", Command: "docker pull " + image},
		{Tool: "Podman", Command: "podman pull " + image},
		{Tool: "ORAS", Command: "oras pull " + image},
	}
}
