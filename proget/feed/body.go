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

// maxFields bounds the form fields on either side of a package, maxField the
// bytes of one before it.
const (
	maxFields = 16
	maxField  = 4 << 10
)

// maxBoundary is the length of a form's boundary in bytes, as RFC 2046 section
// 5.1.1 bounds it.
const maxBoundary = 70

// A Body is the package within a push, read while it arrives: the one file of
// a form, or the request's body itself.
type Body struct {
	Name string // of the file, as the client called it; "" if it did not
	Size int64  // what the file cannot exceed, by the request's length; 0 if unknown

	// Fields are those of a form that come before the package.
	Fields map[string]string

	file io.Reader
	form *multipart.Reader // nil if the request is no form
	err  error             // how reading ended
}

// OpenBody finds the package within a request.
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

// Read implements io.Reader. The package of a form has not ended before the
// form has, without another file: whoever stores it learns of that in time to
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

// PathField is the field of a form that says where the package goes.
const PathField = "path"

// Path returns the package's name below the folder that a form names.
func (b *Body) Path() string {
	if folder := strings.Trim(b.Fields[PathField], "/ "); folder != "" {
		return folder + "/" + b.Name
	}
	return b.Name
}

// end returns io.EOF if nothing but fields follows the package.
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
			continue // after the package
		}
		if len(text) > maxField {
			return nil, proget.Errorf(proget.ErrInvalid, "The field %.60q of the form has more than %d bytes.", part.FormName(), maxField)
		}
		b.Fields[part.FormName()] = string(text)
	}
	return nil, proget.Errorf(proget.ErrInvalid, "The multipart body has more than %d fields beside the package.", maxFields)
}

// isFile tells a file from a field. Not all clients name their file, and some
// say of a field that it is the text which RFC 7578 takes it for anyway.
func isFile(part *multipart.Part) bool {
	mediaType, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	return part.FileName() != "" || mediaType != "" && mediaType != "text/plain"
}

// UploadError tells the client why its upload could not be read to the end, which is
// what Publisher and Uploads do with an error of the reader that they are given: err
// itself, if it has a message for clients.
func UploadError(err error) error {
	if proget.Message(err) != "" {
		return err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return proget.WrapError(proget.ErrTooLarge, err, "The package is larger than this server accepts.")
	}
	return proget.WrapError(proget.ErrInvalid, err, "The upload ended before the package was complete: send it again.")
}
