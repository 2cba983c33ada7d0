package bleve

import (
	"errors"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
)

// isRefused reports whether an error means that the disk accepts no writes; the files
// on it may be intact. Of most errors, the library keeps only the text.
func isRefused(err error) bool {
	for _, each := range refusals {
		if err != nil && (errors.Is(err, each) || strings.Contains(err.Error(), each.Error())) {
			return true
		}
	}
	return false
}

// asyncPause is how long the library's background tasks pause after an error.
const asyncPause = 500 * time.Millisecond

// pausing is the name under which the library finds what to do after an error of a
// background task: pause. It would otherwise retry at once, and keep a processor and a
// full disk busy until there is space. The library's registry must not be written once
// anything runs.
var pausing = func(name string) string {
	scorch.RegistryAsyncErrorCallbacks[name] = func(error, string) { time.Sleep(asyncPause) }
	return name
}("proget-pause")
