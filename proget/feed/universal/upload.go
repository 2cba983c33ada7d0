package universal

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxFields bounds an upload that is a JSON object or a form, including its content, in
// bytes: it is read into memory.
const maxFields = 16 << 20

// notMetadata are parameters that do not describe the package.
var notMetadata = map[string]bool{"key": true, "api_key": true, "content-b64": true, "content-url": true}

// An identity is what a request says about the package that it contains; "" for what it
// does not say.
type identity struct{ group, name, version string }

// identify combines what the path and the fields say about the package. It returns an
// error if they contradict each other.
func identify(rt route, fields map[string]any) (id identity, err error) {
	i := strings.LastIndexByte(rt.name, '/')
	id = identity{rt.name[:max(i, 0)], rt.name[i+1:], rt.version}
	for key, p := range map[string]*string{"group": &id.group, "name": &id.name, "version": &id.version} {
		value, given := fields[key]
		if !given {
			continue
		}
		text, ok := value.(string)
		if !ok {
			return id, proget.Errorf(proget.ErrInvalid, "%s must be text.", key)
		}
		if *p != "" && !strings.EqualFold(*p, text) {
			return id, proget.Errorf(proget.ErrInvalid, "The %s is %.100q in the path but %.100q in the parameters.", key, *p, text)
		}
		*p = text
	}
	if id.name == "" && id.group != "" {
		return id, proget.Errorf(proget.ErrInvalid, "There is a group without a name.")
	}
	return id, nil
}

// check returns an error if the package is not the one that the request names.
func (id identity) check(m *feed.Manifest) error {
	want := manifest{Group: id.group, Name: id.name}.fullName()
	if id.name != "" && !strings.EqualFold(want, m.Name) || id.version != "" && !strings.EqualFold(id.version, m.Version) {
		return proget.Errorf(proget.ErrInvalid, "The package is %s %s, but the request names %.300s %.100s.", m.Name, m.Version, want, id.version)
	}
	return nil
}

// queryFields returns the parameters of a query or form that describe the package.
// Lists are separated by commas.
func queryFields(q url.Values) map[string]any {
	fields := make(map[string]any)
	for key, values := range q {
		switch lower := strings.ToLower(key); {
		case notMetadata[lower] || len(values) == 0:
		case lower == "dependencies" || lower == "tags":
			list := []string{}
			for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
				if item = strings.TrimSpace(item); item != "" {
					list = append(list, item)
				}
			}
			fields[lower] = list
		case lower == "group" || lower == "name" || lower == "version":
			fields[lower] = values[0]
		default:
			fields[key] = values[0]
		}
	}
	return fields
}

// upload stores a package. Its bytes are the body, are part of a JSON object or a form,
// or are fetched. What the request says about the package is added to it.
func (h *handler) upload(w http.ResponseWriter, r *feed.Request, rt route) error {
	fields := queryFields(r.URL.Query())
	id, err := identify(rt, fields) // before the body arrives
	if err != nil {
		return err
	}
	mediaType, r := bodyType(r)
	switch mediaType {
	case jsonMedia, formMedia:
		err = h.uploadFields(r, rt, fields, mediaType)
	default:
		err = h.uploadBody(r, rt, id, fields)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// The media types of bodies in which content is one of several fields.
const (
	jsonMedia = "application/json"
	formMedia = "application/x-www-form-urlencoded"
)

// bodyType returns the media type of a request's body, and the request to continue
// with. curl declares every body a form by default, so bodyType examines the beginning
// of a form.
func bodyType(r *feed.Request) (string, *feed.Request) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != formMedia || r.ContentLength == 0 {
		return mediaType, r
	}
	in := bufio.NewReader(r.Body)
	start, _ := in.Peek(4) // an error comes again
	again := *r
	again.Request = r.WithContext(r.Context())
	again.Body = struct {
		io.Reader
		io.Closer
	}{in, r.Body}
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")), bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		mediaType = "application/octet-stream"
	case bytes.HasPrefix(start, []byte("{")):
		mediaType = jsonMedia
	}
	return mediaType, &again
}

// uploadBody stores a package while it arrives, if the request says nothing about it
// except which one it is, in the path.
func (h *handler) uploadBody(r *feed.Request, rt route, id identity, fields map[string]any) error {
	body, err := feed.OpenBody(r.Request)
	if err != nil {
		return err
	}
	if len(fields) > 0 {
		return h.uploadContent(r, rt, fields, body)
	}
	return h.publish(r, id, body, body.Size)
}

// publish publishes a package file.
func (h *handler) publish(r *feed.Request, id identity, body io.Reader, size int64) error {
	_, err := h.services.Publisher.Publish(r.Context(), feed.Upload{Feed: r.Feed, Body: body, Size: size, By: r.Principal,
		Check: func(m *feed.Manifest) error {
			if err := id.check(m); err != nil {
				return err
			}
			return h.vet(r, m)
		}})
	return err
}

// uploadFields stores a package in a JSON object or a form. A JSON object with contents
// is itself a virtual package.
func (h *handler) uploadFields(r *feed.Request, rt route, fields map[string]any, mediaType string) error {
	tooLarge := proget.Errorf(proget.ErrTooLarge, "A package within JSON or a form can have at most %d MiB: send its bytes as the body, with the type application/zip.", maxFields>>20)
	if r.ContentLength > maxFields {
		return tooLarge
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxFields+1))
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The upload ended before it was complete: send it again.")
	}
	if len(text) > maxFields {
		return tooLarge
	}
	in, err := readFields(text, mediaType)
	if err != nil {
		return err
	}
	if in.virtual {
		id, err := identify(rt, fields)
		if err != nil {
			return err
		}
		return h.publish(r, id, bytes.NewReader(text), int64(len(text)))
	}
	for key, value := range in.fields {
		if known, twice := fields[key]; twice && !reflect.DeepEqual(known, value) {
			return proget.Errorf(proget.ErrInvalid, "The query and the body have different values for %.60q.", key)
		}
		fields[key] = value
	}
	for key, p := range map[string]*string{"content-b64": &in.base64, "content-url": &in.url} {
		if text := r.URL.Query().Get(key); text != "" && *p == "" {
			*p = text
		}
	}
	body, err := h.openContent(r, in)
	if err != nil {
		return err
	}
	defer body.Close()
	return h.uploadContent(r, rt, fields, body)
}

// bodyFields are the fields of a JSON object or form.
type bodyFields struct {
	base64, url string // the content
	fields      map[string]any
	virtual     bool
}

func readFields(text []byte, mediaType string) (in bodyFields, err error) {
	if mediaType != jsonMedia {
		q, err := url.ParseQuery(string(text))
		if err != nil {
			return in, proget.WrapError(proget.ErrInvalid, err, "The form cannot be read.")
		}
		return bodyFields{base64: strings.ReplaceAll(q.Get("content-b64"), " ", "+"), url: q.Get("content-url"), fields: queryFields(q)}, nil
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		return in, proget.WrapError(proget.ErrInvalid, err, "The body is not a JSON object.")
	}
	if err := checkKeys(text); err != nil {
		return in, err
	}
	in.fields = make(map[string]any)
	for key, value := range all {
		lower := strings.ToLower(key)
		content := map[string]*string{"content-b64": &in.base64, "content-url": &in.url}[lower]
		switch text, isText := value.(string); {
		case content != nil && !isText:
			return in, proget.Errorf(proget.ErrInvalid, "%s must be text.", key)
		case content != nil:
			*content = text
		case notMetadata[lower]:
		case lower == "group" || lower == "name" || lower == "version":
			in.fields[lower] = value
		default:
			in.fields[key] = value
			in.virtual = in.virtual || lower == "contents" || lower == "metacontents"
		}
	}
	in.virtual = in.virtual && in.base64 == "" && in.url == ""
	return in, nil
}

// openContent opens the content in the fields.
func (h *handler) openContent(r *feed.Request, in bodyFields) (io.ReadCloser, error) {
	switch {
	case in.base64 != "" && in.url != "":
		return nil, proget.Errorf(proget.ErrInvalid, "Give content-b64 or content-url, not both.")
	case in.url != "":
		u, err := readURL(in.url)
		if err != nil {
			return nil, err
		}
		return h.fetcher.fetch(r.Context(), u)
	case in.base64 == "":
		return nil, proget.Errorf(proget.ErrInvalid, "There is no content: give it as content-b64 or content-url, or send the package's bytes as the body.")
	}
	content, err := base64.StdEncoding.DecodeString(in.base64)
	if err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "content-b64 is not valid base64.")
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// uploadContent stores a package after examining its bytes, which may be content from
// which a package must be made.
func (h *handler) uploadContent(r *feed.Request, rt route, fields map[string]any, body io.Reader) error {
	id, err := identify(rt, fields)
	if err != nil {
		return err
	}
	spool, err := feed.NewSpool(r.Context(), h.services, r.Feed, r.Principal, body)
	if err != nil {
		return err
	}
	defer spool.Close()
	for key, value := range map[string]string{"group": id.group, "name": id.name, "version": id.version} {
		if value != "" {
			fields[key] = value
		}
	}
	write, err := wrap(r.Context(), spool, spool.Size(), fields)
	if err != nil {
		return err
	}
	if write == nil {
		return h.publish(r, id, io.NewSectionReader(spool, 0, spool.Size()), spool.Size())
	}
	made := newPipe(write)
	defer made.Close()
	err = h.publish(r, id, made, 0)
	if failed := made.Err(); failed != nil {
		return failed
	}
	return err
}

// importPackage publishes a package from an asset directory, and deletes it there.
func (h *handler) importPackage(w http.ResponseWriter, r *feed.Request) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxManifest))
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The request ended before it was complete: send it again.")
	}
	var in struct {
		AssetDirectory   string `json:"assetDirectory"`
		From             string `json:"from"`
		DeleteFromSource *bool  `json:"deleteFromSource"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The body is not a JSON object of the expected form: send {\"assetDirectory\":…,\"from\":…}.")
	}
	if in.AssetDirectory == "" || in.From == "" {
		return proget.Errorf(proget.ErrInvalid, "Name the assetDirectory and, with from, the path of the package there: this server reads no other files for clients.")
	}
	task := proget.TaskManage
	if in.DeleteFromSource != nil && !*in.DeleteFromSource {
		task = proget.TaskView
	}
	f, v, err := h.asset(r, in.AssetDirectory, in.From, task)
	if err != nil {
		return err
	}
	content, err := h.services.Files.Open(r.Context(), v.Files[0])
	if err != nil {
		return err
	}
	defer content.Close()
	if err := h.publish(r, identity{}, io.NewSectionReader(content, 0, content.Size()), content.Size()); err != nil {
		return err
	}
	if task == proget.TaskManage {
		err = h.services.Publisher.Delete(r.Context(), feed.Ref{Feed: f, NameKey: strings.ToLower(v.Name), VersionKey: v.Key}, r.Principal)
		if err != nil && !errors.Is(err, proget.ErrNotFound) {
			return proget.WrapError(proget.ErrUnavailable, err, "The package was imported, but %s is still in %s.", v.Name, f.Name)
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
