package dbtest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/driver"
)

// Growing matches the tables that grow with the packages and their use.
const Growing = "package|package_version|package_file|blob|feed_log|job|job_log|deleted_version|deleted_file|deleted_tag|upload|upload_part|download_day|index_file|package_tag|file_alias"

// scanning lists the queries that may scan the whole of a growing table, and why.
var scanning = map[string]string{
	"CountBlobs":    "the check of all stored files says how far it has come",
	"CountPackages": "search by the database looks at all names of a feed, which may be most of the table",
	"FindPackages":  "search by the database looks at all names of a feed, which may be most of the table",
	"CountFeed":     "a feed is counted anew when its log was lost, or by a follower that begins",
	"InsertStorage": "an administrator adds one now and then; SQLite looks whether an upload waits for it",
	"DeleteStorage": "an administrator removes one now and then; SQLite looks whether an upload refers to it",
	"StorageUse":    "an administrator removes one now and then, of which the uploads are counted",
	"ListJobs":      "it stops at its limit: SQLite calls a walk along the key a scan",
}

// Plans checks that no query, except known ones, scans the whole of a growing table.
// scans returns the parts of a statement's plan that do. Plans replaces each parameter
// by the literal '1'.
func Plans(t *testing.T, d driver.Driver, scans func(t *testing.T, statement string) []string) {
	queries, err := db.SharedQueries()
	require.NoError(t, err)
	own, err := db.ParseQueries(d.Files(), "queries")
	require.NoError(t, err)
	for name, text := range own {
		queries[name] = text
	}
	for name, text := range queries {
		text = db.ReplaceParameters(text, func(param string) string {
			if param == "now" {
				return d.Now()
			}
			return "'1'"
		})
		for statement := range strings.SplitSeq(text, ";") {
			if reads := regexp.MustCompile(`(?i)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`); !reads.MatchString(statement) {
				continue
			}
			if found := scans(t, statement); len(found) > 0 {
				require.Contains(t, scanning, name, "%s\n%s", strings.Join(found, "\n"), statement)
			}
		}
	}
}
