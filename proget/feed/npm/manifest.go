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

// data is what the database stores of a version besides its tarball.
type data struct {
	Package  json.RawMessage `json:"package"` // package.json in the form that clients expect
	Readme   string          `json:"readme,omitempty"`
	Files    int             `json:"files"`    // number in the tarball
	Unpacked int64           `json:"unpacked"` // their size in bytes

	Shrinkwrap bool `json:"shrinkwrap,omitempty"` // the tarball contains an npm-shrinkwrap.json

	digests proget.Digests // of the tarball; set during inspection only
}

// readData decodes what inspect stored.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // inspect encoded it
	return d
}

// maxName is the maximum length of a name for npm, in characters.
const maxName = 214

var validName = regexp.MustCompile(`^(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*$`)

// checkName applies the rules of validate-npm-package-name for new packages, except
// that it allows upper case, which old ones have.
func checkName(name string) error {
	_, base := splitName(name)
	switch {
	case len(name) > maxName || !validName.MatchString(name):
		return proget.Errorf(proget.ErrInvalid, "The name %.80q in package.json is not valid: use up to %d letters, digits, '-', '.' and '_', not beginning with '.' or '_', after an optional @scope/.", name, maxName)
	case base == "-" || strings.EqualFold(base, "node_modules") || strings.EqualFold(base, "favicon.ico"):
		return proget.Errorf(proget.ErrInvalid, "No package can be called %s.", base)
	}
	return nil
}

// splitName returns the scope, with its @, or "", and the name within it.
func splitName(name string) (scope, base string) {
	if scope, base, ok := strings.Cut(name, "/"); ok {
		return scope, base
	}
	return "", name
}

// fileName returns the name of a version's tarball.
func fileName(name, version string) string {
	_, base := splitName(name)
	return base + "-" + version + ".tgz"
}

// A packageJSON is a package.json being converted to what clients expect from a
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
		return nil, proget.WrapError(proget.ErrInvalid, err, "The version %.60q in package.json is not a SemVer version such as 1.2.3.", declared)
	}
	p.prerelease = v.Prerelease() != ""
	p.tidy()
	return p, nil
}

// text returns a string field, or "" if the field is not a string.
func (p *packageJSON) text(name string) (s string) {
	_ = json.Unmarshal(p.fields[name], &s) // leaves s empty if the field is not a string
	return s
}

// tidy normalises the fields as the clients' own publishing would: see
// normalize-package-data.
func (p *packageJSON) tidy() {
	for name := range p.fields {
		if strings.HasPrefix(name, "_") || name == "dist" {
			delete(p.fields, name) // reserved for the registry
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

// toSlash replaces the path separators of other systems, as npm does.
var toSlash = strings.NewReplacer(`\`, "/", ":", "/")

// binFolder returns directories.bin between slashes: the folder in which every file is
// a command, unless bin lists the commands. It returns "" if there is none. See the
// step binDir in lib/normalize.js of @npmcli/package-json.
func (p *packageJSON) binFolder() string {
	switch string(p.fields["bin"]) {
	case "", "null", "false", "0", `""`:
	default:
		return ""
	}
	var directories map[string]any
	_ = json.Unmarshal(p.fields["directories"], &directories) // leaves directories empty if the field is not an object
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

// scripts returns the scripts, except those that are not strings.
func (p *packageJSON) scripts() map[string]string {
	return scriptsOf(p.fields["scripts"])
}

func scriptsOf(field json.RawMessage) map[string]string {
	var values map[string]any
	_ = json.Unmarshal(field, &values) // leaves values empty if the field is not an object
	scripts := make(map[string]string, len(values))
	for name, value := range values {
		if line, ok := value.(string); ok {
			scripts[name] = line
		}
	}
	return scripts
}

// build adds the script that npm runs if there is a binding.gyp and no other install
// script.
func (p *packageJSON) build() {
	scripts := p.scripts()
	if scripts["install"] != "" || scripts["preinstall"] != "" || string(p.fields["gypfile"]) == "false" {
		return
	}
	scripts["install"] = "node-gyp rebuild"
	p.set("scripts", scripts)
	p.set("gypfile", true)
}

// The fields of package.json come in several forms.

// text returns a string, or the url or type of an object.
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

// words returns keywords from a list, or from one string with commas.
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
