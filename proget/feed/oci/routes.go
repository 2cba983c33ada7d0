package oci

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// An action is what a request asks for.
type action = feed.Operation

const (
	unknown action = ""

	getManifest    action = "getManifest"
	putManifest    action = "putManifest"
	deleteManifest action = "deleteManifest"
	getBlob        action = "getBlob"
	deleteBlob     action = "deleteBlob"
	startUpload    action = "startUpload"
	uploadStatus   action = "uploadStatus"
	uploadChunk    action = "uploadChunk"
	finishUpload   action = "finishUpload"
	cancelUpload   action = "cancelUpload"
	listTags       action = "listTags"
	listReferrers  action = "listReferrers"
)

// operations are the actions, with the permission that each needs.
var operations = feed.Operations{
	getManifest:   proget.TaskView,
	getBlob:       proget.TaskView,
	listTags:      proget.TaskView,
	listReferrers: proget.TaskView,

	putManifest:  proget.TaskPublish,
	startUpload:  proget.TaskPublish,
	uploadStatus: proget.TaskPublish,
	uploadChunk:  proget.TaskPublish,
	finishUpload: proget.TaskPublish,
	cancelUpload: proget.TaskPublish,

	deleteManifest: proget.TaskManage,
	deleteBlob:     proget.TaskManage,
}

// routes are the ends of paths below the repository's name, with their actions by
// method; "*" stands for the argument.
var routes = []struct {
	end     []string
	actions map[string]action
}{
	{[]string{"blobs", "uploads", "*"}, map[string]action{http.MethodGet: uploadStatus, http.MethodPatch: uploadChunk, http.MethodPut: finishUpload, http.MethodDelete: cancelUpload}},
	{[]string{"blobs", "uploads"}, map[string]action{http.MethodPost: startUpload}},
	{[]string{"blobs", "*"}, map[string]action{http.MethodGet: getBlob, http.MethodDelete: deleteBlob}},
	{[]string{"manifests", "*"}, map[string]action{http.MethodGet: getManifest, http.MethodPut: putManifest, http.MethodDelete: deleteManifest}},
	{[]string{"tags", "list"}, map[string]action{http.MethodGet: listTags}},
	{[]string{"referrers", "*"}, map[string]action{http.MethodGet: listReferrers}},
}

// A route is a parsed request.
type route struct {
	action action
	repo   string // the repository's name within its feed
	arg    string // a digest, a tag or an upload
}

// parse parses method and escaped path below the feed. A repository may have any name,
// even blobs/manifests: the end of the path decides.
func parse(method, path string) route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, segment := range segments {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return route{}
		}
		segments[i] = text
	}
	for _, r := range routes {
		if arg, ok := match(segments, r.end); ok {
			return route{r.actions[method], strings.Join(segments[:len(segments)-len(r.end)], "/"), arg}
		}
	}
	return route{}
}

// match reports whether a path has that end, after at least one other segment.
func match(segments, end []string) (arg string, ok bool) {
	n := len(segments) - len(end)
	if n < 1 {
		return "", false
	}
	for i, want := range end {
		switch {
		case want == "*":
			arg = segments[n+i]
		case want != segments[n+i]:
			return "", false
		}
	}
	return arg, true
}

// maxName bounds a repository's name in bytes: together with the host and the feed, it
// must not exceed what clients accept.
const maxName = 200

// The syntax of names and tags, from the specification's "Pulling manifests".
var (
	validName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	validTag  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func checkName(repo string) error {
	if len(repo) > maxName || !validName.MatchString(repo) {
		return proget.WrapError(proget.ErrInvalid, nameInvalid, "The repository's name %.60q is not valid: use lower-case letters, digits and single '.', '_' or '-' between them, at most %d characters.", repo, maxName)
	}
	return nil
}

// readDigest parses a digest of a supported algorithm.
func readDigest(text string) (digest.Digest, error) {
	d := digest.Digest(text)
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return "", proget.WrapError(proget.ErrInvalid, digestInvalid, "%.80q is not a digest: use sha256: or sha512: with lower-case hexadecimal digits.", text)
	}
	return d, nil
}
