package feed

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
)

// maxFields bounds the number of form fields before the package, and after it; maxField
// bounds the bytes of a field before it.
const (
	maxFields = 16
	maxField  = 4 << 10
)

// maxBoundary is the maximum length of a form's boundary in bytes, by RFC 2046 section
// 5.1.1.
const maxBoundary = 70

// A Body is the package in a push, read while it arrives: the single file of a form, or
// the request's body itself.
type Body struct {
	Name string // the file's name as the client gave it; "" if it gave none
	Size int64  // upper bound for the file's bytes, from the request's length; 0 if unknown

	// Fields holds the form's fields before the package; nil if the request is not a
	// form.
	Fields map[string]string

	file io.Reader
	form *multipart.Reader // nil if the request is not a form
	err  error             // the error with which reading ended
}

// OpenBody finds the package in a request. It returns proget.ErrInvalid if there is
// none.
func OpenBody(r *http.Request) (*Body, error) {
	size := max(r.ContentLength, 0) // -1 means unknown
	mediaType, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return &Body{Size: size, file: r.Body}, nil
	}
	boundary := params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, proget.Errorf(proget.ErrInvalid, "The multipart body cannot be read: its Content-Type names no boundary of 1 to %d characters.", maxBoundary)
	}
	form := multipart.NewReader(newClosing(r.Body, boundary), boundary)
	b := &Body{Size: size, Fields: make(map[string]string), form: form}
	file, err := b.nextFile()
	if err == io.EOF {
		return nil, proget.Errorf(proget.ErrInvalid, "The multipart body contains no package file.")
	}
	if err != nil {
		return nil, err
	}
	b.Name, b.file = file.FileName(), file
	return b, nil
}

// Read implements io.Reader. It returns io.EOF only once the form has ended without
// another file, so that whoever stores the package learns of an invalid form in time to
// store nothing.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.file.Read(p)
	switch {
	case err == io.EOF:
		b.err = b.end()
	case err != nil:
		b.err = UploadError(err)
	}
	return n, b.err
}

// PathField is the form field that names the package's folder.
const PathField = "path"

// Path returns the package's name below the folder that the form names, if any.
func (b *Body) Path() string {
	if folder := strings.Trim(b.Fields[PathField], "/ "); folder != "" {
		return folder + "/" + b.Name
	}
	return b.Name
}

// end returns io.EOF if only fields follow the package.
func (b *Body) end() error {
	if b.form == nil {
		return io.EOF
	}
	_, err := b.nextFile()
	if err == nil {
		return proget.Errorf(proget.ErrInvalid, "One push carries one package, but this form has several files: push each by itself.")
	}
	return err
}

// nextFile returns the next file of a form, or io.EOF if there is none.
func (b *Body) nextFile() (*multipart.Part, error) {
	for range maxFields + 1 {
		part, err := b.form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, UploadError(err)
		}
		if isFile(part) {
			return part, nil
		}
		text, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil {
			return nil, UploadError(err)
		}
		if b.file != nil {
			continue // ignore fields after the package
		}
		if len(text) > maxField {
			return nil, proget.Errorf(proget.ErrInvalid, "The field %.60q of the form has more than %d bytes.", part.FormName(), maxField)
		}
		b.Fields[part.FormName()] = string(text)
	}
	return nil, proget.Errorf(proget.ErrInvalid, "The multipart body has more than %d fields besides the package.", maxFields)
}

// isFile tells a file from a field. Some clients do not name their file, and some state
// for a field the type text/plain, which RFC 7578 implies anyway.
func isFile(part *multipart.Part) bool {
	mediaType, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	return part.FileName() != "" || mediaType != "" && mediaType != "text/plain"
}

// UploadError returns the error that tells the client why its upload could not be read
// to the end, or err itself if it has a message for clients. Publisher and Uploads
// apply it to the errors of their readers.
func UploadError(err error) error {
	if proget.Message(err) != "" {
		return err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return proget.WrapError(proget.ErrTooLarge, err, "The package is larger than this server accepts.")
	}
	return proget.WrapError(proget.ErrInvalid, err, "The upload ended before the package was complete: send it again.")
}
