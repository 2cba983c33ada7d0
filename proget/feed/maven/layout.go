package maven

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
)

// metadataName is the name of the file that tells what a folder has.
const metadataName = "maven-metadata.xml"

// snapshotWord ends the version of what is still being worked on.
const snapshotWord = "SNAPSHOT"

// Bounds of names, those of the database's columns.
const (
	maxName    = 400 // bytes of groupId, a colon and artifactId
	maxVersion = 255
	maxFile    = 255
)

var (
	validGroup    = regexp.MustCompile(`^[0-9A-Za-z_-]+$`) // between two dots
	validArtifact = regexp.MustCompile(`^[0-9A-Za-z_.-]+$`)
	validVersion  = regexp.MustCompile(`^[0-9A-Za-z_.+~^@=,-]+$`)
	timestamped   = regexp.MustCompile(`^(.*-)?[0-9]{8}\.[0-9]{6}-[0-9]+$`)
	build         = regexp.MustCompile(`^([0-9]{8}\.[0-9]{6})-([0-9]{1,9})([.-].*)$`)
	validExt      = regexp.MustCompile(`^([A-Za-z]|7z)[0-9A-Za-z_.+-]*$`)
	sbtVersions   = regexp.MustCompile(`_2\.[0-9.]+_[01]\.[0-9.]+$`) // of Scala and sbt
)

// coordinates name a package.
type coordinates struct{ group, artifact string }

// name is the package's name, and its key.
func (c coordinates) name() string { return c.group + ":" + c.artifact }

// splitName takes a package's name apart.
func splitName(name string) coordinates {
	group, artifact, _ := strings.Cut(name, ":")
	return coordinates{group, artifact}
}

// A location is what the path of a file says: the folders of the groupId, those of
// artifactId and version, and the file's name, as the "Maven Repository Layout" has
// it. Its version is the base version, which for a build of a snapshot ends in
// SNAPSHOT.
type location struct {
	coordinates
	version string
	file    string
}

// splitPath takes an escaped path apart. A slash at its beginning or its end makes
// an empty segment.
func splitPath(path string) ([]string, error) {
	var segments []string
	for segment := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || strings.Contains(text, "/") {
			return nil, proget.Errorf(proget.ErrInvalid, "The path %.200q is not well-formed.", path)
		}
		segments = append(segments, text)
	}
	return segments, nil
}

// locate reads the segments of a path.
func locate(segments []string) (location, error) {
	n := len(segments)
	if n < 4 {
		return location{}, proget.Errorf(proget.ErrInvalid, "The path %.300q does not say where the file belongs: it has the form com/acme/lib/1.0/lib-1.0.jar, of groupId, artifactId, version and file.", strings.Join(segments, "/"))
	}
	loc := location{coordinates{strings.Join(segments[:n-3], "."), segments[n-3]}, segments[n-2], segments[n-1]}
	for _, part := range segments[:n-3] {
		if !validGroup.MatchString(part) {
			return loc, proget.Errorf(proget.ErrInvalid, "The folder %.100q cannot be part of a groupId: use letters, digits, '_' and '-', and a folder for each part.", part)
		}
	}
	return loc, loc.check()
}

func (loc location) check() error {
	invalid := func(format string, args ...any) error { return proget.Errorf(proget.ErrInvalid, format, args...) }
	switch {
	case !validArtifact.MatchString(loc.artifact) || strings.Trim(loc.artifact, ".") == "":
		return invalid("The artifactId %.100q is not valid: use letters, digits, '.', '_' and '-'.", loc.artifact)
	case len(loc.name()) > maxName:
		return invalid("The groupId and the artifactId %.60q are longer than %d characters together.", loc.artifact, maxName-1)
	case !validVersion.MatchString(loc.version) || strings.Trim(loc.version, ".") == "":
		return invalid("The version %.100q is not valid: use letters, digits, '.', '_', '-' and '+'.", loc.version)
	case len(loc.version) > maxVersion:
		return invalid("The version is longer than %d characters.", maxVersion)
	case timestamped.MatchString(loc.version):
		return invalid("%.100s is a build of a snapshot: its files belong into the folder of the snapshot, as in 1.0-SNAPSHOT.", loc.version)
	case !validFile(loc.file):
		return invalid("The file name %.100q is not valid: it has control characters, slashes, one of : * ? \" < > |, or more than %d bytes.", loc.file, maxFile)
	}
	return nil
}

func validFile(name string) bool {
	return name != "" && len(name) <= maxFile && strings.Trim(name, ". ") != "" && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) })
}

// isSnapshot tells a version that is still being worked on from a released one.
func isSnapshot(version string) bool { return strings.HasSuffix(version, snapshotWord) }

// fileData is what is kept of a file beside its name.
type fileData struct {
	Classifier string  `json:"classifier,omitempty"`
	Extension  string  `json:"extension,omitempty"` // "jar", "tar.gz", "pom.asc"; "" if the file is not called after the artifact
	Timestamp  string  `json:"timestamp,omitempty"` // of a snapshot's build: "20240131.120000", UTC
	Build      int     `json:"build,omitempty"`     // its number
	Plugin     *plugin `json:"plugin,omitempty"`    // what a jar says of the Maven plugin in it

	sha256 string // of a file on its way in
}

// describe tells what a file is from its name, which has the form
// artifactId-version[-classifier].extension. Others say nothing of themselves.
func (loc location) describe() fileData {
	rest, ok := strings.CutPrefix(loc.file, loc.artifact+"-"+strings.TrimSuffix(loc.version, snapshotWord))
	if !ok {
		return fileData{}
	}
	var d fileData
	if isSnapshot(loc.version) {
		if plain, ok := strings.CutPrefix(rest, snapshotWord); ok {
			rest = plain
		} else if m := build.FindStringSubmatch(rest); m != nil {
			d.Timestamp, rest = m[1], m[3]
			d.Build, _ = strconv.Atoi(m[2]) // at most nine digits
		} else {
			return fileData{}
		}
	}
	if d.Classifier, d.Extension, ok = splitExtension(rest); !ok {
		return fileData{}
	}
	return d
}

// sbtPlugin is the location as the names of an sbt plugin's files have it, and its POM:
// until version 2 they leave out the versions of Scala and sbt that end the artifactId,
// unless sbtPluginPublishLegacyMavenStyle is off. It differs for these alone.
func (loc location) sbtPlugin() location {
	loc.artifact = sbtVersions.ReplaceAllString(loc.artifact, "")
	return loc
}

// signatures are what is added to a file's name for that of its signature.
var signatures = []string{".asc", ".sigstore.json", ".sigstore"}

// splitExtension reads what follows the version in a file's name: ".jar" or
// "-sources.jar". Extensions of two parts are those of compressed tars, and those
// of signatures.
func splitExtension(rest string) (classifier, extension string, ok bool) {
	if ext, found := strings.CutPrefix(rest, "."); found {
		return "", ext, validExt.MatchString(ext)
	}
	rest, ok = strings.CutPrefix(rest, "-")
	if !ok {
		return "", "", false
	}
	signature := ""
	for _, s := range signatures {
		if signature == "" && strings.HasSuffix(rest, s) {
			rest, signature = strings.TrimSuffix(rest, s), s
		}
	}
	i := strings.LastIndexByte(rest, '.')
	if i <= 0 || rest[0] == '.' {
		return "", "", false
	}
	if packed, tar := strings.CutSuffix(rest[:i], ".tar"); tar && packed != "" {
		i = len(packed)
	}
	classifier, extension = rest[:i], rest[i+1:]+signature
	return classifier, extension, validExt.MatchString(extension)
}

// checksums are the algorithms by the extensions of their files.
var checksums = map[string]proget.Algorithm{"md5": proget.MD5, "sha1": proget.SHA1, "sha256": proget.SHA256, "sha512": proget.SHA512}

// cutChecksum takes the name of a checksum's file apart: which file it is of, and by
// which algorithm; "" if it is none.
func cutChecksum(name string) (file string, algorithm proget.Algorithm) {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if a := checksums[name[i+1:]]; a != "" {
			return name[:i], a
		}
	}
	return name, ""
}
