package bleve

import (
	"errors"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
)

// isRefused reports whether the disk takes no writes, which says nothing against what is
// on it. The library keeps of most of its errors but their texts.
func isRefused(err error) bool {
	for _, each := range refusals {
		if err != nil && (errors.Is(err, each) || strings.Contains(err.Error(), each.Error())) {
			return true
		}
	}
	return false
}

// asyncPause is how long the library's background tasks rest after an error.
const asyncPause = 500 * time.Millisecond

// pausing names, for the library, what it does after an error of a background task: to wait. It
// would otherwise try again at once, and keep a processor and a full disk busy until there is space.
// The library's registry is not to be written once anything runs.
var pausing = func(name string) string {
	scorch.RegistryAsyncErrorCallbacks[name] = func(error, string) { time.Sleep(asyncPause) }
	return name
}("proget-pause")
