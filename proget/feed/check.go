package feed

import (
	"fmt"
	"regexp"

	"github.com/proget-go/ha/proget"
)

// ValidName reports whether a feed, and so a type, after which the first feed is named, can
// have a name: it is part of URLs, and of file names on every system.
func ValidName(name string) bool { return segment.MatchString(name) }

var segment = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,48}[A-Za-z0-9])?$`)

// Check says which field of the type is missing, or means nothing. A node asks before
// it serves a type.
func (t *Type) Check() error {
	if t.Name == "" {
		return fmt.Errorf("a feed type has no Name")
	}
	if !ValidName(t.Name) {
		return fmt.Errorf("a feed type cannot have the Name %.60q: use 1 to 50 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit", t.Name)
	}
	if field := t.missing(); field != "" {
		return fmt.Errorf("feed type %s has no %s", t.Name, field)
	}
	for _, mount := range append([]string{t.MountName()}, t.Mounts...) {
		if !ValidName(mount) {
			return fmt.Errorf("feed type %s cannot be mounted at /%s/", t.Name, mount)
		}
	}
	for op, task := range t.Operations {
		if op == "" {
			return fmt.Errorf("feed type %s cannot name Operations[\"\"]: that is the operation of what is not known", t.Name)
		}
		if task != proget.TaskNone && task.Rank() == 0 {
			return fmt.Errorf("feed type %s: Operations[%q] is %q, which is no task", t.Name, op, task)
		}
	}
	for _, a := range t.Algorithms {
		if _, err := a.New(); err != nil {
			return fmt.Errorf("feed type %s, Algorithms: %w", t.Name, err)
		}
	}
	return nil
}

// missing names the first required field that is empty, or is "".
func (t *Type) missing() string {
	for _, required := range []struct {
		field string
		empty bool
	}{
		{"Title", t.Title == ""},
		{"NameKey", t.NameKey == nil},
		{"VersionKey", t.VersionKey == nil},
		{"CompareVersions", t.CompareVersions == nil},
		{"Inspect", t.Inspect == nil},
		{"Summary", t.Summary == nil},
		{"Install", t.Install == nil},
		{"Operations", len(t.Operations) == 0},
		{"Handler", t.Handler == nil},
		{"WriteError", t.WriteError == nil},
	} {
		if required.empty {
			return required.field
		}
	}
	return ""
}
