package maven

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// metadataName is the name of the file that lists the contents of a folder.
const metadataName = "maven-metadata.xml"

// snapshotWord ends the version of a snapshot, which is still under development.
const snapshotWord = "SNAPSHOT"

// Bounds of names, from the database's columns.
const (
	maxName = 400 // bytes of groupId, a colon and artifactId
	maxFile = 255
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

// coordinates identify a package.
type coordinates struct{ group, artifact string }

// name returns the package's name, which is also its key.
func (c coordinates) name() string { return c.group + ":" + c.artifact }

// splitName splits a package's name into coordinates.
func splitName(name string) coordinates {
	group, artifact, _ := strings.Cut(name, ":")
	return coordinates{group, artifact}
}

// A location is a parsed path of a file: the folders of the groupId, the folders
// artifactId and version, and the file's name, as in the "Maven Repository Layout". Its
// version is the base version, which for a build of a snapshot ends in SNAPSHOT.
type location struct {
	coordinates
	version string
	file    string
}

// splitPath splits an escaped path into segments. A leading or trailing slash yields an
// empty segment.
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

// locate parses the segments of a path.
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
	case len(loc.version) > feed.MaxVersion:
		return invalid("The version is longer than %d characters.", feed.MaxVersion)
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

// isSnapshot reports whether a version is a snapshot rather than a release.
func isSnapshot(version string) bool { return strings.HasSuffix(version, snapshotWord) }

// fileData is what the database stores of a file besides its name.
type fileData struct {
	Classifier string  `json:"classifier,omitempty"`
	Extension  string  `json:"extension,omitempty"` // "jar", "tar.gz", "pom.asc"; "" if the file's name does not begin with the artifact
	Timestamp  string  `json:"timestamp,omitempty"` // of a snapshot's build: "20240131.120000", UTC
	Build      int     `json:"build,omitempty"`     // its number
	Plugin     *plugin `json:"plugin,omitempty"`    // description of the Maven plugin in a jar

	sha256 string // of a file being published
}

// describe derives a file's data from its name, which has the form
// artifactId-version[-classifier].extension. For other names, it returns the zero
// value.
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

// checkTime refuses a build of a snapshot whose timestamp is no time. It could sort after
// all others of its number, and some clients give all their builds the same.
func (d fileData) checkTime() error {
	if d.Timestamp == "" {
		return nil
	}
	if _, err := time.Parse("20060102.150405", d.Timestamp); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The timestamp %s of the snapshot's build is no time: it has the form 20240131.235959, of a date and a time of day in UTC.", d.Timestamp)
	}
	return nil
}

// sbtPlugin returns the location that the names of an sbt plugin's files, and its POM,
// imply: before sbt 2 they omit the versions of Scala and sbt at the end of the
// artifactId, unless sbtPluginPublishLegacyMavenStyle is off. For anything else, the
// location is unchanged.
func (loc location) sbtPlugin() location {
	loc.artifact = sbtVersions.ReplaceAllString(loc.artifact, "")
	return loc
}

// signatures are the endings that a signature adds to a file's name.
var signatures = []string{".asc", ".sigstore.json", ".sigstore"}

// splitExtension parses the part of a file's name after the version: ".jar" or
// "-sources.jar". Only compressed tars and signatures have extensions of two parts.
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

// checksums maps the extensions of checksum files to their algorithms.
var checksums = map[string]proget.Algorithm{"md5": proget.MD5, "sha1": proget.SHA1, "sha256": proget.SHA256, "sha512": proget.SHA512}

// cutChecksum splits the name of a checksum file into the file that it is for and the
// algorithm, which is "" for any other file.
func cutChecksum(name string) (file string, algorithm proget.Algorithm) {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if a := checksums[name[i+1:]]; a != "" {
			return name[:i], a
		}
	}
	return name, ""
}
