package asset

import (
	"context"
	"encoding/json"
	"mime"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// data is what the database stores of an item besides its file.
type data struct {
	Type         string                   `json:"type,omitempty"` // the media type of a file
	Created      time.Time                `json:"created,omitzero"`
	UserMetadata map[string]metadataValue `json:"userMetadata,omitempty"`
	CacheHeader  *cacheHeader             `json:"cacheHeader,omitempty"` // nil inherits the folder's rule

	typed   bool           // the client stated Type
	digests proget.Digests // of a file that is being published
}

// item is an item in responses: ProGet's AssetDirectoryItem.
type item struct {
	Name         string                   `json:"name"`
	Parent       string                   `json:"parent,omitempty"`
	Size         *int64                   `json:"size,omitempty"`
	Type         string                   `json:"type"` // "dir", or a file's media type
	Content      string                   `json:"content,omitempty"`
	Created      time.Time                `json:"created"`
	Modified     time.Time                `json:"modified"`
	MD5          string                   `json:"md5,omitempty"`
	SHA1         string                   `json:"sha1,omitempty"`
	SHA256       string                   `json:"sha256,omitempty"`
	SHA512       string                   `json:"sha512,omitempty"`
	UserMetadata map[string]metadataValue `json:"userMetadata,omitempty"`
	CacheHeader  cacheHeader              `json:"cacheHeader"`
}

// describe returns an item for a client that knows the directory at base.
func (e entry) describe(base string) item {
	parent, name := e.path.split()
	i := item{Name: name, Parent: string(parent), Type: "dir", CacheHeader: cacheHeader{Type: inherit}}
	if e.version == nil { // a folder without its own package has the time of the first file in it
		i.Created, i.Modified = e.first.Published, e.first.Published
		return i
	}
	d := readData(e.version)
	i.UserMetadata = d.UserMetadata
	if d.CacheHeader != nil {
		i.CacheHeader = *d.CacheHeader
	}
	i.Created, i.Modified = d.Created, e.version.Published
	if i.Created.IsZero() || i.Created.After(i.Modified) { // the times come from different clocks
		i.Created = i.Modified
	}
	if e.dir {
		return i
	}
	f := e.version.Files[0]
	i.Type, i.Size, i.Content = d.Type, &f.Size, base+"/content/"+e.path.escape()
	i.MD5, i.SHA1, i.SHA256, i.SHA512 = f.Digests[proget.MD5], f.Digests[proget.SHA1], f.Digests[proget.SHA256], f.Digests[proget.SHA512]
	return i
}

// inspect is feed.Type's Inspect. It looks only at the path; one that ends in a slash
// belongs to a folder.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
	p, err := readPath(f.Name)
	if err == nil {
		err = p.checkNew()
	}
	if err != nil {
		return nil, err
	}
	folder := f.Size == 0 && f.Name == p.folder()
	if p == "" && !folder {
		return nil, proget.Errorf(proget.ErrInvalid, "The request does not say where the file goes: give its path.")
	}
	_, name := p.split()
	m := &feed.Manifest{Name: string(p), Version: fixedVersion, FileName: name, Data: data{Type: guessType(p), digests: f.Digests}}
	if folder {
		m.Name, m.FileName, m.Data = p.folder(), "folder", data{}
	}
	return m, nil
}

// maxType bounds a media type in bytes.
const maxType = 200

// readType parses a client's media type.
func readType(text string) (string, error) {
	mediaType, params, err := mime.ParseMediaType(text)
	if err == nil {
		text = mime.FormatMediaType(mediaType, params)
	}
	if err != nil || text == "" || len(text) > maxType {
		return "", proget.Errorf(proget.ErrInvalid, "The media type %.60q is not valid: give one such as text/plain.", text)
	}
	return text, nil
}

// guessType returns the media type that a file's name suggests.
func guessType(p path) string {
	if t := mime.TypeByExtension(extension(p)); t != "" && len(t) <= maxType {
		return t
	}
	return "application/octet-stream"
}

// decode decodes what is stored of an item, inside a transaction.
func decode(text json.RawMessage) (d data, err error) {
	err = json.Unmarshal(text, &d)
	return d, err
}
