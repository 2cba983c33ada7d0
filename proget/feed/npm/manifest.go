package npm

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/proget-go/ha/proget"
)

// data is what is kept of a version beside its tarball.
type data struct {
	Package  json.RawMessage `json:"package"` // package.json as clients expect it
	Readme   string          `json:"readme,omitempty"`
	Files    int             `json:"files"`    // in the tarball
	Unpacked int64           `json:"unpacked"` // their size in bytes

	Shrinkwrap bool `json:"shrinkwrap,omitempty"` // there is an npm-shrinkwrap.json

	digests proget.Digests // of the tarball, while it is inspected
}

// readData decodes what inspect stored.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // inspect encoded it
	return d
}

// maxName is the longest name that npm takes, in characters.
const maxName = 214

var validName = regexp.MustCompile(`^(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*$`)

// checkName follows validate-npm-package-name for new packages, but for upper
// case, which old ones have.
func checkName(name string) error {
	_, base := splitName(name)
	switch {
	case len(name) > maxName || !validName.MatchString(name):
		return proget.Errorf(proget.ErrInvalid, "The name %.80q in package.json is not valid: use up to %d letters, digits, '-', '.' and '_', not beginning with the last two, after an optional @scope/.", name, maxName)
	case base == "-" || strings.EqualFold(base, "node_modules") || strings.EqualFold(base, "favicon.ico"):
		return proget.Errorf(proget.ErrInvalid, "No package can be called %s.", base)
	}
	return nil
}

// splitName returns the scope, with its @ or empty, and the name within it.
func splitName(name string) (scope, base string) {
	if scope, base, ok := strings.Cut(name, "/"); ok {
		return scope, base
	}
	return "", name
}

// fileName is what a version's tarball is called.
func fileName(name, version string) string {
	_, base := splitName(name)
	return base + "-" + version + ".tgz"
}

// A packageJSON is a package.json on its way to what clients expect of a
// registry.
type packageJSON struct {
	fields        map[string]json.RawMessage
	name, version string
	prerelease    bool
}

func readPackageJSON(body []byte) (*packageJSON, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if !utf8.Valid(body) || bytes.Contains(body, []byte(`\u0000`)) {
		return nil, proget.Errorf(proget.ErrInvalid, "package.json is not valid UTF-8 text.")
	}
	p := new(packageJSON)
	if err := json.Unmarshal(body, &p.fields); err != nil || p.fields == nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "package.json is not a JSON object.")
	}
	p.name = p.text("name")
	if err := checkName(p.name); err != nil {
		return nil, err
	}
	declared := p.text("version")
	p.version = versionKey(declared)
	v, err := semver.StrictNewVersion(p.version)
	if err != nil || len(declared) > 256 {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The version %.60q in package.json is no SemVer version, as in 1.2.3.", declared)
	}
	p.prerelease = v.Prerelease() != ""
	p.tidy()
	return p, nil
}

// text returns a field that is a string, or "".
func (p *packageJSON) text(name string) (s string) {
	_ = json.Unmarshal(p.fields[name], &s) // what is no string is none
	return s
}

// tidy brings the fields into the form in which the clients' own publishing
// would have: see normalize-package-data.
func (p *packageJSON) tidy() {
	for name := range p.fields {
		if strings.HasPrefix(name, "_") || name == "dist" {
			delete(p.fields, name) // the registry's own
		}
	}
	p.set("name", p.name)
	p.set("version", p.version)
	if program := p.text("bin"); program != "" {
		_, base := splitName(p.name)
		p.set("bin", map[string]string{base: program})
	}
	if list := p.fields["bundledDependencies"]; list != nil && p.fields["bundleDependencies"] == nil {
		p.fields["bundleDependencies"] = list
	}
	delete(p.fields, "bundledDependencies")
}

// toSlash replaces what separates folders on other systems, as npm does.
var toSlash = strings.NewReplacer(`\`, "/", ":", "/")

// binFolder returns directories.bin between slashes: the folder of which every file
// is a command, unless bin says which are. It is empty if there is none. See the
// step binDir in lib/normalize.js of @npmcli/package-json.
func (p *packageJSON) binFolder() string {
	switch string(p.fields["bin"]) {
	case "", "null", "false", "0", `""`:
	default:
		return ""
	}
	var directories map[string]any
	_ = json.Unmarshal(p.fields["directories"], &directories) // what is no object has none
	folder, _ := directories["bin"].(string)
	if folder == "" {
		return ""
	}
	return strings.TrimSuffix(path.Clean("/"+toSlash.Replace(folder)), "/") + "/"
}

func (p *packageJSON) set(name string, value any) {
	text, _ := json.Marshal(value) // of strings alone: does not fail
	p.fields[name] = text
}

// scripts returns the scripts, without those that are no strings.
func (p *packageJSON) scripts() map[string]string {
	return scriptsOf(p.fields["scripts"])
}

func scriptsOf(field json.RawMessage) map[string]string {
	var values map[string]any
	_ = json.Unmarshal(field, &values) // what is no object has none
	scripts := make(map[string]string, len(values))
	for name, value := range values {
		if line, ok := value.(string); ok {
			scripts[name] = line
		}
	}
	return scripts
}

// build adds the script that npm runs where there is a binding.gyp and nothing
// else to install.
func (p *packageJSON) build() {
	scripts := p.scripts()
	if scripts["install"] != "" || scripts["preinstall"] != "" || string(p.fields["gypfile"]) == "false" {
		return
	}
	scripts["install"] = "node-gyp rebuild"
	p.set("scripts", scripts)
	p.set("gypfile", true)
}

// The fields of package.json are written in several ways.

// text returns a string, or the url or type of an object that has one.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		for _, name := range []string{"url", "type"} {
			if s, ok := v[name].(string); ok {
				return s
			}
		}
	}
	return ""
}

func person(v any) string {
	if object, ok := v.(map[string]any); ok {
		name, _ := object["name"].(string)
		return name
	}
	s, _ := v.(string)
	return s
}

// words returns keywords: a list, or one string with commas.
func words(v any) (list []string) {
	switch v := v.(type) {
	case string:
		for word := range strings.SplitSeq(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
	case []any:
		for _, word := range v {
			if s, ok := word.(string); ok && s != "" {
				list = append(list, s)
			}
		}
	}
	return list
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
