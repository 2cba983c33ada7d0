package maven

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/proget-go/ha/proget"
)

// Bounds of a POM: its bytes, the depth of its elements, and the bytes of it that lists
// show.
const (
	maxPOM   = 2 << 20
	maxDepth = 100
	maxLine  = 1000
)

// project is the part of a POM that the server reads; see "POM Reference". Elements
// that decide identity are slices, so that duplicates can be refused. Names match in
// any namespace, because many POMs have none.
type project struct {
	XMLName      xml.Name     `xml:"project"`
	GroupID      []string     `xml:"groupId"`
	ArtifactID   []string     `xml:"artifactId"`
	Version      []string     `xml:"version"`
	Packaging    string       `xml:"packaging"`
	Name         string       `xml:"name"`
	Description  string       `xml:"description"`
	URL          string       `xml:"url"`
	Parent       []parent     `xml:"parent"`
	Licenses     []license    `xml:"licenses>license"`
	Developers   []developer  `xml:"developers>developer"`
	Dependencies []dependency `xml:"dependencies>dependency"`
	Properties   properties   `xml:"properties"`
}

type (
	parent struct {
		GroupID    string `xml:"groupId" json:"groupId"`
		ArtifactID string `xml:"artifactId" json:"artifactId"`
		Version    string `xml:"version" json:"version"`
	}
	license struct {
		Name string `xml:"name" json:"name,omitempty"`
		URL  string `xml:"url" json:"url,omitempty"`
	}
	developer struct {
		Name string `xml:"name"`
		ID   string `xml:"id"`
	}
	dependency struct {
		GroupID    string `xml:"groupId" json:"groupId"`
		ArtifactID string `xml:"artifactId" json:"artifactId"`
		Version    string `xml:"version" json:"version,omitempty"` // "" if the parent sets it
		Type       string `xml:"type" json:"type,omitempty"`
		Classifier string `xml:"classifier" json:"classifier,omitempty"`
		Scope      string `xml:"scope" json:"scope,omitempty"`
		Optional   string `xml:"optional" json:"optional,omitempty"`
	}
	properties struct {
		All []property `xml:",any"`
	}
	property struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
)

// pomData is a version's description, from its POM.
type pomData struct {
	Name         string       `json:"name,omitempty"`
	Description  string       `json:"description,omitempty"`
	URL          string       `json:"url,omitempty"`
	Packaging    string       `json:"packaging"`
	Parent       *parent      `json:"parent,omitempty"`
	Licenses     []license    `json:"licenses,omitempty"`
	Developers   []string     `json:"developers,omitempty"`
	Dependencies []dependency `json:"dependencies,omitempty"`
}

var errDTD = errors.New("document type declarations are not allowed")

// readPOM parses the POM at loc.
func readPOM(text []byte, loc location) (*pomData, error) {
	var p project
	if err := decodeXML(bytes.NewReader(text), &p); err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The POM cannot be read: %s.", err)
	}
	if err := p.agree(loc); err != nil {
		return nil, err
	}
	for element, text := range map[string]string{"name": p.Name, "packaging": p.Packaging, "url": p.URL} {
		if len(text) > maxLine {
			return nil, proget.Errorf(proget.ErrInvalid, "The POM's <%s> is longer than %d bytes.", element, maxLine)
		}
	}
	return p.data(loc), nil
}

// agree returns an error if a POM contradicts its location. What the POM omits comes
// from its parent.
func (p *project) agree(loc location) error {
	if len(p.Parent) > 1 {
		return proget.Errorf(proget.ErrInvalid, "The POM has %d <parent> elements.", len(p.Parent))
	}
	var from parent
	if len(p.Parent) == 1 {
		from = p.Parent[0]
	}
	for _, c := range []struct {
		element  string
		said     []string
		inherits string
		want     string
	}{
		{"groupId", p.GroupID, from.GroupID, loc.group},
		{"artifactId", p.ArtifactID, "", loc.artifact},
		{"version", p.Version, from.Version, loc.version},
	} {
		if len(c.said) > 1 {
			return proget.Errorf(proget.ErrInvalid, "The POM has %d elements <%s>.", len(c.said), c.element)
		}
		said := strings.TrimSpace(strings.Join(c.said, ""))
		if said == "" {
			said = strings.TrimSpace(c.inherits)
		}
		if said == "" {
			return proget.Errorf(proget.ErrInvalid, "The POM has no %s, and no parent to inherit it from.", c.element)
		}
		if !matches(said, c.want) {
			return proget.Errorf(proget.ErrInvalid, "The POM is of %s %.200q, but its path says %.200q.", c.element, said, c.want)
		}
	}
	return nil
}

// expression matches a reference to a property, whose value may come from the POM, a
// parent or the command line of a build.
var expression = regexp.MustCompile(`\$\{[^{}]*\}`)

// matches reports whether want is possible for a value with expressions, each of which
// can stand for any text. Their values are unknown: CI builds set the version with
// -Drevision=1.0, for instance.
func matches(said, want string) bool {
	literals := expression.Split(said, -1)
	if len(literals) == 1 {
		return said == want
	}
	rest, ok := strings.CutPrefix(want, literals[0])
	last := literals[len(literals)-1]
	for _, literal := range literals[1 : len(literals)-1] {
		i := strings.Index(rest, literal)
		if i < 0 {
			return false
		}
		rest = rest[i+len(literal):]
	}
	return ok && strings.HasSuffix(rest, last)
}

func (p *project) data(loc location) *pomData {
	expand := p.expander(loc)
	d := &pomData{Name: expand(p.Name), Description: strings.TrimSpace(p.Description), URL: expand(p.URL), Packaging: expand(p.Packaging), Dependencies: p.Dependencies}
	if d.Packaging == "" {
		d.Packaging = "jar"
	}
	if len(p.Parent) == 1 {
		from := &p.Parent[0]
		trim(&from.GroupID, &from.ArtifactID, &from.Version)
		d.Parent = from
	}
	for _, l := range p.Licenses {
		d.Licenses = append(d.Licenses, license{strings.TrimSpace(l.Name), strings.TrimSpace(l.URL)})
	}
	for _, someone := range p.Developers {
		trim(&someone.Name, &someone.ID)
		if someone.Name == "" {
			someone.Name = someone.ID
		}
		if someone.Name != "" {
			d.Developers = append(d.Developers, someone.Name)
		}
	}
	for i := range d.Dependencies {
		dep := &d.Dependencies[i]
		for _, text := range []*string{&dep.GroupID, &dep.ArtifactID, &dep.Version, &dep.Type, &dep.Classifier, &dep.Scope, &dep.Optional} {
			*text = expand(*text)
		}
	}
	return d
}

func trim(texts ...*string) {
	for _, text := range texts {
		*text = strings.TrimSpace(*text)
	}
}

// maxExpanded bounds the length of text with replaced expressions, in bytes.
const maxExpanded = 500

// expander returns a function that replaces expressions once, by the values that the
// POM itself sets. The result is for people; expressions that a parent sets remain.
func (p *project) expander(loc location) func(string) string {
	values := make(map[string]string, len(p.Properties.All)+6)
	for _, property := range p.Properties.All {
		values[property.XMLName.Local] = strings.TrimSpace(property.Value)
	}
	for _, prefix := range []string{"project.", "pom."} {
		values[prefix+"groupId"], values[prefix+"artifactId"], values[prefix+"version"] = loc.group, loc.artifact, loc.version
	}
	return func(text string) string {
		text = strings.TrimSpace(text)
		if len(text) > maxExpanded || !strings.Contains(text, "${") {
			return text
		}
		expanded := expression.ReplaceAllStringFunc(text, func(e string) string {
			if value, ok := values[e[2:len(e)-1]]; ok && len(value) < maxExpanded {
				return value
			}
			return e
		})
		if len(expanded) > maxExpanded {
			return text
		}
		return expanded
	}
}

// decodeXML decodes a whole document into v. As in Maven, it supports HTML's entities;
// a document cannot define others.
func decodeXML(r io.Reader, v any) error {
	raw := xml.NewDecoder(transform.NewReader(r, unicode.BOMOverride(encoding.Nop.NewDecoder())))
	raw.Entity, raw.CharsetReader = xml.HTMLEntity, charsetReader
	d := xml.NewTokenDecoder(&guard{Decoder: raw})
	if err := d.Decode(v); err != nil {
		return err
	}
	for { // only comments may follow
		switch t, err := d.Token(); t := t.(type) {
		case nil:
			if err == io.EOF {
				return nil
			}
			return err
		case xml.StartElement:
			return fmt.Errorf("there is a second root element, <%.60s>", t.Name.Local)
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("there is text after the root element")
			}
		}
	}
}

// guard passes on a decoder's tokens, but refuses document type declarations and
// elements that are nested too deeply.
type guard struct {
	*xml.Decoder
	depth int
}

func (g *guard) Token() (xml.Token, error) {
	t, err := g.RawToken()
	switch t := t.(type) {
	case xml.Directive:
		return nil, fmt.Errorf("<!%.20s: %w", t, errDTD)
	case xml.StartElement:
		if g.depth++; g.depth > maxDepth {
			return nil, fmt.Errorf("there are more than %d elements within each other", maxDepth)
		}
	case xml.EndElement:
		g.depth--
	}
	return t, err
}

// charsetReader supports the encodings that an XML declaration may name. For UTF-16,
// the byte order mark was already handled.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	if label := strings.ToLower(label); strings.HasPrefix(label, "utf-16") || label == "us-ascii" {
		return in, nil
	}
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil, fmt.Errorf("its encoding %.40q is not supported, save it as UTF-8", label)
	}
	return e.NewDecoder().Reader(in), nil
}
