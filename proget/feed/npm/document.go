package npm

import (
	"bufio"
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxMetadata bounds what a publish request contains besides the tarball, in bytes.
// After a conflict, a client retries with the metadata of the whole package.
const maxMetadata = 32 << 20

// A document is the JSON object with which a client publishes, read while it arrives;
// its _attachments contain the tarball in base64. Because it can be as large as a
// package, the tarball is decoded on its way to storage, and only the rest of the
// document is held in memory.
type document struct {
	in     *bufio.Reader
	fields map[string]json.RawMessage // of the object, without _attachments
	held   int                        // bytes in fields

	tarball string    // the attachment's name; "" if there is no tarball
	length  int64     // of the tarball as the client says; -1 if it does not say
	read    int64     // bytes of the tarball read
	sha384  hash.Hash // of the tarball; nil if it is not needed
	content *content
	err     error // the error with which reading ended
}

// errMalformed is the error for a document that is not what clients send.
var errMalformed = proget.Errorf(proget.ErrInvalid, "The body is not the JSON document that npm publishes with.")

var errNoBase64 = proget.Errorf(proget.ErrInvalid, "The tarball in _attachments is not base64.")

// errEnd is the end of the body, as distinct from the end of the tarball in it.
var errEnd = errors.New("the body has ended")

type unended struct{ io.Reader }

func (u unended) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err == io.EOF {
		err = errEnd
	}
	return n, err
}

// openDocument reads up to the tarball, or to the end if there is no tarball.
func openDocument(body io.Reader) (*document, error) {
	d := &document{in: bufio.NewReaderSize(unended{body}, 64<<10), fields: make(map[string]json.RawMessage), length: -1}
	if err := d.expect('{'); err != nil {
		return nil, feed.UploadError(err)
	}
	if err := d.members(d.member); err != nil && err != errTarball {
		return nil, feed.UploadError(err)
	} else if err == nil {
		if err := d.finish(); err != nil {
			return nil, feed.UploadError(err)
		}
	}
	return d, nil
}

// errTarball stops the reading of members at the tarball.
var errTarball = errors.New("tarball")

// Read reads the tarball. It returns io.EOF only once the whole document is valid, so
// that whoever stores the tarball learns of an error in time to store nothing.
func (d *document) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.content.Read(p)
	d.read += int64(n)
	if d.sha384 != nil {
		_, _ = d.sha384.Write(p[:n]) // a hash does not fail
	}
	if err == io.EOF {
		err = d.afterTarball()
	}
	if err != nil && err != io.EOF {
		if _, broken := errors.AsType[base64.CorruptInputError](err); broken {
			err = errNoBase64
		}
		err = feed.UploadError(err)
	}
	d.err = err
	return n, err
}

// afterTarball reads the rest of the document and returns io.EOF.
func (d *document) afterTarball() error {
	for _, level := range []func(string) error{d.attachmentMember, d.attachment, d.member} {
		if err := d.moreMembers(level); err != nil {
			return err
		}
	}
	if err := d.finish(); err != nil {
		return err
	}
	if d.length >= 0 && d.length != d.read {
		return proget.Errorf(proget.ErrInvalid, "The tarball has %d bytes, but the document says %d.", d.read, d.length)
	}
	return io.EOF
}

// finish returns an error if anything follows the object.
func (d *document) finish() error {
	_, err := d.peek()
	if err == errEnd {
		return nil
	}
	return orMalformed(err)
}

// member reads a member of the outer object.
func (d *document) member(name string) error {
	if name == "_attachments" {
		if err := d.expect('{'); err != nil {
			return err
		}
		return d.members(d.attachment)
	}
	value, err := d.value()
	if err != nil {
		return err
	}
	if d.fields[name] != nil {
		return errMalformed // readers differ in which of two equal members they use
	}
	d.fields[name] = value
	return nil
}

// attachment reads a member of _attachments: the tarball, or a provenance statement,
// which it drops.
func (d *document) attachment(name string) error {
	if !strings.HasSuffix(name, ".tgz") {
		_, err := d.value()
		return err
	}
	if d.tarball != "" {
		return proget.Errorf(proget.ErrInvalid, "One push carries one tarball, but this document has several: publish each version by itself.")
	}
	d.tarball = name
	if err := d.expect('{'); err != nil {
		return err
	}
	err := d.members(d.attachmentMember)
	if err == nil {
		err = proget.Errorf(proget.ErrInvalid, "The tarball in _attachments has no data.")
	}
	return err
}

// attachmentMember reads a member of the tarball's attachment.
func (d *document) attachmentMember(name string) error {
	if name == "data" {
		if d.content != nil {
			return errMalformed
		}
		if err := d.expect('"'); err != nil {
			return err
		}
		d.content = &content{in: d.in}
		if versions := d.fields["versions"]; versions == nil || bytes.Contains(versions, []byte(sha384)) {
			d.sha384 = sha512.New384() // storage computes the others
		}
		return errTarball
	}
	value, err := d.value()
	if err == nil && name == "length" && json.Unmarshal(value, &d.length) != nil {
		err = errMalformed
	}
	return err
}

// members reads the members of an object after its opening brace.
func (d *document) members(member func(name string) error) error {
	c, err := d.peek()
	if err != nil {
		return err
	}
	if c == '}' {
		return d.expect('}')
	}
	if err := d.named(member); err != nil {
		return err
	}
	return d.moreMembers(member)
}

// moreMembers reads the members after the first, up to the end of the object.
func (d *document) moreMembers(member func(name string) error) error {
	for {
		c, err := d.peek()
		switch {
		case err != nil:
			return err
		case c == '}':
			return d.expect('}')
		}
		if err := d.expect(','); err != nil {
			return err
		}
		if err := d.named(member); err != nil {
			return err
		}
	}
}

func (d *document) named(member func(name string) error) error {
	if c, err := d.peek(); err != nil || c != '"' {
		return orMalformed(err)
	}
	text, err := d.value()
	if err != nil {
		return err
	}
	var name string
	if json.Unmarshal(text, &name) != nil {
		return errMalformed
	}
	if err := d.expect(':'); err != nil {
		return err
	}
	return member(name)
}

// orMalformed returns err, or errMalformed if err is nil.
func orMalformed(err error) error {
	if err != nil {
		return err
	}
	return errMalformed
}

// peek returns the next byte that is not white space.
func (d *document) peek() (byte, error) {
	for {
		next, err := d.in.Peek(1)
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(next[0])) {
			return next[0], nil
		}
		_, _ = d.in.Discard(1) // peek has buffered it
	}
}

func (d *document) expect(c byte) error {
	next, err := d.peek()
	if err != nil {
		return err
	}
	if next != c {
		return errMalformed
	}
	_, err = d.in.Discard(1)
	return err
}

// value reads a value of any kind. It finds the end by brackets and quotes alone, and
// validates the JSON afterwards.
func (d *document) value() (json.RawMessage, error) {
	if _, err := d.peek(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	depth, quoted := 0, false
	for {
		next, err := d.in.Peek(1)
		if err != nil {
			return nil, err
		}
		c := next[0]
		if !quoted && depth == 0 && text.Len() > 0 && strings.IndexByte(",}] \t\r\n:", c) >= 0 {
			break
		}
		_, _ = d.in.Discard(1) // it is buffered
		if d.held++; d.held > maxMetadata {
			return nil, proget.Errorf(proget.ErrInvalid, "The document has more than %d MiB besides the tarball.", maxMetadata>>20)
		}
		text.WriteByte(c)
		switch {
		case quoted && c == '\\':
			escaped, err := d.in.ReadByte()
			if err != nil {
				return nil, err
			}
			d.held++
			text.WriteByte(escaped)
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth < 0 {
				return nil, errMalformed
			}
		}
	}
	if !json.Valid(text.Bytes()) {
		return nil, errMalformed
	}
	return text.Bytes(), nil
}

// A content decodes a JSON string in base64. The only escape in the string is that of a
// slash, which some programs write. JSON strings have no line ends, for which
// base64.NewDecoder would search.
type content struct {
	in      *bufio.Reader
	ended   bool // the closing quote was read
	text    [4 << 10]byte
	bytes   [3 << 10]byte
	decoded []byte // the part of bytes that has not been read yet
}

func (c *content) Read(p []byte) (int, error) {
	for len(c.decoded) == 0 {
		if c.ended {
			return 0, io.EOF
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.decoded)
	c.decoded = c.decoded[n:]
	return n, nil
}

// fill decodes as much text as fits, in multiples of four.
func (c *content) fill() error {
	have := 0
	for have < len(c.text) && !c.ended {
		n, err := c.take(c.text[have:])
		if err != nil {
			return err
		}
		have += n
	}
	n, err := base64.StdEncoding.Decode(c.bytes[:], c.text[:have])
	c.decoded = c.bytes[:n]
	if err == nil && n < len(c.bytes) && !c.ended { // padding ends the base64 text
		return c.end()
	}
	return err
}

// end expects the closing quote.
func (c *content) end() error {
	n, err := c.take(c.text[:1])
	if err == nil && n > 0 {
		err = errNoBase64
	}
	return err
}

// take reads some text; none at the end of the string.
func (c *content) take(p []byte) (int, error) {
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	next, _ := c.in.Peek(min(c.in.Buffered(), len(p))) // it is buffered
	next = before(before(next, '"'), '\\')
	if n := copy(p, next); n > 0 {
		_, _ = c.in.Discard(n) // it is buffered
		return n, nil
	}
	if next, _ = c.in.Peek(1); next[0] == '"' {
		_, _ = c.in.Discard(1) // it is buffered
		c.ended = true
		return 0, nil
	}
	escape, err := c.in.Peek(2)
	if err != nil {
		return 0, err
	}
	if string(escape) != `\/` {
		return 0, errNoBase64
	}
	_, _ = c.in.Discard(2) // it is buffered
	p[0] = '/'
	return 1, nil
}

// before returns the part of text before c, or all of it.
func before(text []byte, c byte) []byte {
	if i := bytes.IndexByte(text, c); i >= 0 {
		return text[:i]
	}
	return text
}
