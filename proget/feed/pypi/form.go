package pypi

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of the form with which clients upload. The form repeats all metadata of the
// file, with a field for each classifier and each dependency.
const (
	maxFormFields = 10_000
	maxFormBytes  = 8 << 20 // of all fields except the file
	maxFieldBytes = 1 << 10 // of a field in looked
	maxBoundary   = 70      // as in RFC 2046 section 5.1.1
)

// contentField is the field with the file; signatureField is one that "twine --sign"
// adds and that nobody needs any more.
const (
	contentField   = "content"
	signatureField = "gpg_signature"
)

// looked are the fields that are compared with the file. The others only repeat the
// file's metadata, and only the file is trusted.
var looked = map[string]bool{
	":action": true, "protocol_version": true, "name": true, "version": true, "filetype": true,
	"md5_digest": true, "sha256_digest": true, "blake2_256_digest": true,
}

// A form is an upload as twine and uv send it (PyPI's "Upload API"), read while it
// arrives. Fields may precede and follow the file.
type form struct {
	name   string // of the file
	size   int64  // upper bound for the file's bytes, from the request's length; 0 if unknown
	fields map[string]string

	parts  *multipart.Reader
	file   *multipart.Part
	blake  hash.Hash
	digest string // of the file, after it was read
	count  int    // of fields
	bytes  int64  // of fields
	err    error  // the error with which reading ended
}

// openForm reads a form up to its file.
func openForm(r *http.Request) (*form, error) {
	mediaType, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return nil, proget.Errorf(proget.ErrInvalid, "This address takes the form that twine and uv publish with. To send a file by itself, PUT it to upload/ and its name, below the feed's address.")
	}
	boundary := params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, proget.Errorf(proget.ErrInvalid, "The form cannot be read: its Content-Type names no boundary of 1 to %d characters.", maxBoundary)
	}
	blake, err := blake2b.New256(nil)
	if err != nil {
		return nil, err // impossible without a key
	}
	f := &form{size: max(r.ContentLength, 0), fields: make(map[string]string), parts: multipart.NewReader(r.Body, boundary), blake: blake}
	f.file, err = f.next()
	if err := f.checkProtocol(); err != nil {
		return nil, err // before the client sends the file
	}
	if errors.Is(err, io.EOF) {
		return nil, proget.Errorf(proget.ErrInvalid, "The form has no file in a field named %s.", contentField)
	}
	if err != nil {
		return nil, err
	}
	f.name = f.file.FileName()
	return f, nil
}

// next reads fields up to the next file. At the end of the form, it returns io.EOF.
func (f *form) next() (*multipart.Part, error) {
	for {
		part, err := f.parts.NextPart()
		if err == io.EOF { // a wrapped EOF means that the form's last line is missing
			return nil, io.EOF
		}
		if err != nil {
			return nil, feed.UploadError(err)
		}
		if part.FormName() == contentField {
			return part, nil
		}
		if part.FileName() != "" && part.FormName() != signatureField {
			return nil, proget.Errorf(proget.ErrInvalid, "The form has a file in the field %.40q. The file to publish is the one in the field %s.", part.FormName(), contentField)
		}
		if err := f.field(part); err != nil {
			return nil, err
		}
	}
}

// field reads one field.
func (f *form) field(part *multipart.Part) error {
	if f.count++; f.count > maxFormFields {
		return proget.Errorf(proget.ErrInvalid, "The form has more than %d fields.", maxFormFields)
	}
	name := part.FormName()
	if !looked[name] {
		n, err := io.Copy(io.Discard, io.LimitReader(part, maxFormBytes-f.bytes+1))
		return f.took(n, err)
	}
	text, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err := f.took(int64(len(text)), err); err != nil {
		return err
	}
	value := strings.TrimSpace(string(text))
	if before, twice := f.fields[name]; len(text) > maxFieldBytes || twice && before != value {
		return proget.Errorf(proget.ErrInvalid, "The form's field %s is longer than %d bytes or occurs more than once.", name, maxFieldBytes)
	}
	f.fields[name] = value
	return nil
}

// took counts the bytes of fields that were read.
func (f *form) took(n int64, err error) error {
	if err != nil {
		return feed.UploadError(err)
	}
	if f.bytes += n; f.bytes > maxFormBytes {
		return proget.Errorf(proget.ErrInvalid, "The form has more than %d MiB besides the file.", maxFormBytes>>20)
	}
	return nil
}

// Read implements io.Reader for the file. It returns io.EOF only once the form has
// ended, so that whoever stores the file learns of an error in time to store nothing.
func (f *form) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Read(p)
	f.blake.Write(p[:n])
	switch {
	case err == io.EOF:
		f.err = f.end()
	case err != nil:
		f.err = feed.UploadError(err)
	}
	return n, f.err
}

// end returns io.EOF if only fields follow the file.
func (f *form) end() error {
	f.digest = hex.EncodeToString(f.blake.Sum(nil))
	_, err := f.next()
	if err == nil {
		return proget.Errorf(proget.ErrInvalid, "The form has more than one field named %s: upload each file by itself.", contentField)
	}
	return err
}

// check is feed.Upload's Check. It returns an error if the form contradicts the file.
func (f *form) check(m *feed.Manifest) error {
	file, ok := m.FileData.(*fileData)
	if !ok {
		return errors.New("the manifest is of another type")
	}
	file.BLAKE2 = f.digest
	if err := f.checkProtocol(); err != nil {
		return err
	}
	for name, is := range map[string]string{"filetype": file.Type, "sha256_digest": file.digests[proget.SHA256], "md5_digest": file.digests[proget.MD5], "blake2_256_digest": f.digest} {
		if said := f.fields[name]; said != "" && !strings.EqualFold(said, is) {
			return proget.Errorf(proget.ErrInvalid, "The form says that %s is %.100q, but that of the uploaded file is %s.", name, said, is)
		}
	}
	return f.checkVersion(m)
}

// checkProtocol returns an error if the form is not an upload.
func (f *form) checkProtocol() error {
	if action := f.fields[":action"]; action != "" && action != "file_upload" {
		return proget.Errorf(proget.ErrInvalid, "The action %.40q is not supported: packages need no registration; upload their files.", action)
	}
	if protocol := f.fields["protocol_version"]; protocol != "" && protocol != "1" {
		return proget.Errorf(proget.ErrInvalid, "The form is of protocol version %.20q; this server takes version 1.", protocol)
	}
	return nil
}

func (f *form) checkVersion(m *feed.Manifest) error {
	name, version := f.fields["name"], f.fields["version"]
	if name != "" && nameKey(name) != nameKey(m.Name) || version != "" && versionKey(version) != versionKey(m.Version) {
		return proget.Errorf(proget.ErrInvalid, "The form is for %.100s %.100s, but the file is of %s %s.", name, version, m.Name, m.Version)
	}
	return nil
}
