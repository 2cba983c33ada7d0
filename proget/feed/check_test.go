package feed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
)

// TestCheck: what a type lacks, or cannot mean, is found before anything is served, by
// the field's name.
func TestCheck(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*feed.Type){
		"":                               func(*feed.Type) {},
		"no Name":                        func(x *feed.Type) { x.Name = "" },
		`"Terra Form/x"`:                 func(x *feed.Type) { x.Name = "Terra Form/x" },
		`the Name ".."`:                  func(x *feed.Type) { x.Name = ".." },
		"Title":                          func(x *feed.Type) { x.Title = "" },
		"NameKey":                        func(x *feed.Type) { x.NameKey = nil },
		"VersionKey":                     func(x *feed.Type) { x.VersionKey = nil },
		"CompareVersions":                func(x *feed.Type) { x.CompareVersions = nil },
		"Inspect":                        func(x *feed.Type) { x.Inspect = nil },
		"Summary":                        func(x *feed.Type) { x.Summary = nil },
		"Install":                        func(x *feed.Type) { x.Install = nil },
		"no Operations":                  func(x *feed.Type) { x.Operations = nil },
		"no Handler":                     func(x *feed.Type) { x.Handler = nil },
		"WriteError":                     func(x *feed.Type) { x.WriteError = nil },
		`Operations["push"] is "pubish"`: func(x *feed.Type) { x.Operations = feed.Operations{"push": "pubish"} },
		`cannot name Operations[""]`:     func(x *feed.Type) { x.Operations = feed.Operations{"": proget.TaskView} },
		"/a/b/":                          func(x *feed.Type) { x.Mount = "a/b" },
		"/../":                           func(x *feed.Type) { x.Mounts = []string{".."} },
		"Algorithms":                     func(x *feed.Type) { x.Algorithms = []proget.Algorithm{"crc32"} },
	} {
		typ := nuget.New(nil)
		change(&typ)
		if err := typ.Check(); field == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, field)
		}
	}
}
