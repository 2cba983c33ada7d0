package feed

import (
	"fmt"
	"regexp"

	"github.com/proget-go/ha/proget"
)

// ValidName reports whether name can be a feed's: names are part of URLs, and of file
// names on every system. The first feed of a type bears the type's name, so types obey
// the same rule.
func ValidName(name string) bool { return segment.MatchString(name) }

var segment = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,48}[A-Za-z0-9])?$`)

// Check returns an error that names the first missing or contradictory field. A node
// calls it before it serves a type.
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

// CheckWhole returns proget.ErrInvalid if only the type's handler may send the file.
func (t *Type) CheckWhole(v *proget.Version, f proget.File) error {
	if t.Virtual == nil || !t.Virtual(f) {
		return nil
	}
	return proget.Errorf(proget.ErrInvalid, "%s %s is a virtual package, which is made from others: ask the feed itself for it.", v.Name, v.Version)
}

// missing returns the name of the first required field that is empty, or "".
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
