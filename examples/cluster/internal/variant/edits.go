package variant

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Next returns the edits that make the next version of the server. Its schema has an
// additional column, table and index.
func Next(root string) ([]Edit, error) {
	var edits []Edit
	for _, engine := range []string{"sqlite", "postgres", "sqlserver"} {
		dir := "db/" + engine + "/migrations"
		present, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.sql"))
		if err != nil {
			return nil, err
		}
		edits = append(edits, Edit{File: fmt.Sprintf("%s/%03d_next.sql", dir, len(present)+1), New: fmt.Sprintf("-- oldest: %d\n", len(present)) + nextSchema[engine]})
	}
	return edits, nil
}

var nextSchema = map[string]string{
	"sqlite": `ALTER TABLE package_version ADD COLUMN next_note TEXT;
CREATE TABLE next_thing (thing_id INTEGER PRIMARY KEY);
CREATE INDEX package_version_note ON package_version (next_note);`,
	"postgres": `ALTER TABLE package_version ADD COLUMN next_note text;
CREATE TABLE next_thing (thing_id bigint PRIMARY KEY);
CREATE INDEX package_version_note ON package_version (next_note);`,
	"sqlserver": `ALTER TABLE package_version ADD next_note nvarchar(100) NULL;
CREATE TABLE next_thing (thing_id bigint PRIMARY KEY);
CREATE INDEX package_version_note ON package_version (next_note);`,
}

// Traced makes every write of a primary record in the database when its term was last
// seen. The unedited server records that once a second.
var Traced = []Edit{
	{"db/leases.go", "\t\treturn fn(tx)\n\t})\n}\n\nfunc (tx *Tx) raiseFence", `		if err := fn(tx); err != nil {
			return err
		}
		return tx.KeepTerm(ctx, office, f)
	})
}

func (tx *Tx) raiseFence`},
}

// ClockVariable is the environment variable of a server with JumpingClock that names a
// file with the error of its clock, in seconds.
const ClockVariable = "PROGET_CLOCK_FILE"

// JumpingClock returns edits that make the server's own code, though not its libraries,
// read the time from a clock that jumps when a file changes. Durations stay right, as
// when somebody sets the clock of a machine.
func JumpingClock(root string) ([]Edit, error) {
	var edits []Edit
	packages := make(map[string]bool)
	for _, dir := range []string{"proget", "db", "indexing", "election", "storage"} {
		err := fs.WalkDir(os.DirFS(root), dir, func(file string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
			if err != nil || !strings.Contains(string(text), "time.Now()") {
				return err
			}
			edits = append(edits, Edit{File: file, New: strings.ReplaceAll(string(text), "time.Now()", "jumpingNow()") + "\nvar _ time.Time // is used\n"})
			if dir := path.Dir(file); !packages[dir] {
				packages[dir] = true
				edits = append(edits, Edit{File: dir + "/jumpingclock.go", New: fmt.Sprintf(jumpingClock, packageOf(string(text)), ClockVariable)})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return edits, nil
}

func packageOf(source string) string {
	for line := range strings.Lines(source) {
		if name, ok := strings.CutPrefix(line, "package "); ok {
			name, _, _ = strings.Cut(name, "//")
			return strings.TrimSpace(name)
		}
	}
	return "main"
}

// jumpingClock adds seconds to the wall-clock part of a time: bits 30 to 62 of its
// first word if it has a monotonic reading.
const jumpingClock = `package %s

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

var jumpingLooked, jumpingBy atomic.Int64

var jumpingSince = time.Now()

func jumpingNow() time.Time {
	t := time.Now()
	if at := int64(t.Sub(jumpingSince)); at >= jumpingLooked.Load() {
		jumpingLooked.Store(at + int64(50*time.Millisecond))
		text, _ := os.ReadFile(os.Getenv(%q))
		seconds, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		jumpingBy.Store(seconds)
	}
	*(*uint64)(unsafe.Pointer(&t)) += uint64(jumpingBy.Load()) << 30
	return t
}
`
