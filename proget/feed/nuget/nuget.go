package nuget

import (
	"net/http"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Options configure the feed type. The zero value and nil behave like nuget.org.
type Options struct {
	// HardDelete makes a client's "nuget delete" delete the version. By default it
	// unlists the version, so that builds that use it continue to work.
	HardDelete bool
}

// New returns the feed type "nuget". opts may be nil.
func New(opts *Options) feed.Type {
	t := engine(opts)
	t.Name, t.Title, t.Start, t.Install = "nuget", "NuGet", "v3/index.json", install
	return t
}

// Chocolatey returns the feed type "chocolatey": NuGet's, as Chocolatey uses it. opts
// may be nil.
func Chocolatey(opts *Options) feed.Type {
	t := engine(opts)
	t.Name, t.Title, t.Install = "chocolatey", "Chocolatey", installChocolatey
	return t
}

// PowerShell returns the feed type "powershell": NuGet's, as PowerShellGet and
// PSResourceGet use it. opts may be nil.
func PowerShell(opts *Options) feed.Type {
	t := engine(opts)
	t.Name, t.Title, t.Install = "powershell", "PowerShell", installPowerShell
	return t
}

// engine returns what the types have in common, including their URLs.
func engine(opts *Options) feed.Type {
	if opts == nil {
		opts = &Options{}
	}
	hardDelete := opts.HardDelete
	return feed.Type{
		Mount:           "nuget",
		Naming:          feed.Naming{PURL: "nuget"},
		Mounts:          []string{symbolsMount},
		Algorithms:      []proget.Algorithm{proget.SHA512},
		NameKey:         nameKey,
		VersionKey:      versionKey,
		CompareVersions: compareVersions,
		Operations:      operations,
		Inspect:         inspect,
		Summary:         summary,
		Modern:          needsSemVer2,
		Form:            &feed.Form{Accept: ".nupkg,.snupkg"},
		Handler: func(s feed.Services) feed.Handler {
			return &handler{services: s, hardDelete: hardDelete, large: make(feed.Gate, 2), unsent: semaphore.NewWeighted(v2MaxUnsent)}
		},
		Index:      catalogOf,
		WriteError: writeError,
	}
}

// nameKey is feed.Type's NameKey: case does not distinguish IDs.
func nameKey(id string) string { return strings.ToLower(id) }

// writeError answers in plain text. NuGet clients do not show the body of a failed
// push, only its status and a header that nuget.org uses for warnings. Failed reads do
// not get the header, because a client that asks several feeds for a package expects
// most not to have it; nor does the challenge, which clients answer by themselves.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string, _ error) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !isRead && status != http.StatusUnauthorized {
		h.Set("X-NuGet-Warning", headerText(message))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(message + "\n")) // an error means that the client went away
	}
}

// headerText replaces characters that a header cannot contain.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
