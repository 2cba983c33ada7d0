package web

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	folderSize = 50       // entries on one page of a folder
	folderName = "folder" // query parameter: the folder, with a trailing slash
	afterName  = "after"  // query parameter: the key after which the page begins
)

// beyond is a character greater than any in a name.
const beyond = "\U0010FFFF"

// A folderView shows one folder of a feed whose packages are files.
type folderView struct {
	Above   []tag // the folders that contain it, outermost first
	Name    string
	Entries []folderRow
	Next    string // URL; "" if this is the last page
	Later   bool   // this is not the first page
}

type folderRow struct {
	Name, URL string
	Folder    bool
	Size      int64
	Published time.Time
	Blocked   bool
}

func folderURL(f *proget.Feed, folder string) string {
	if folder == "" {
		return feedURL(f)
	}
	return feedURL(f) + "?" + url.Values{folderName: {folder}}.Encode()
}

// folder reads the contents of the folder that the query names.
func (s *site) folder(v *visit, f *proget.Feed, t *feed.Type) (*folderView, error) {
	q := v.URL.Query()
	if odd := q.Get(folderName) + q.Get(afterName); !utf8.ValidString(odd) || strings.ContainsFunc(odd, unicode.IsControl) {
		return nil, proget.Errorf(proget.ErrInvalid, "The address does not say which folder is meant.")
	}
	view := new(folderView)
	path := strings.Trim(q.Get(folderName), "/")
	above := ""
	for segment := range strings.SplitSeq(path, "/") {
		if view.Name != "" {
			view.Above = append(view.Above, tag{view.Name, folderURL(f, above)})
		}
		view.Name = segment
		if segment != "" {
			above += segment + "/"
		}
	}
	prefix := t.NameKey(above)
	after := q.Get(afterName)
	if view.Later = after != prefix && strings.HasPrefix(after, prefix); !view.Later {
		after = prefix
	}
	names, next, err := s.namesIn(v.Context(), f, prefix, after)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.addEntry(v.Context(), view, f, name); err != nil {
			return nil, err
		}
	}
	if next != "" {
		view.Next = feedURL(f) + "?" + url.Values{folderName: {above}, afterName: {next}}.Encode()
	}
	return view, nil
}

// namesIn returns the files and folders in the folder with the given key prefix,
// folders with a trailing slash. next is the key after which the next page begins.
func (s *site) namesIn(ctx context.Context, f *proget.Feed, prefix, after string) (found []feed.Name, next string, err error) {
	skip, leaped := "", false
	for {
		names, err := s.Catalog.Names(ctx, f, after, folderSize)
		if err != nil || len(names) == 0 {
			return found, "", err
		}
		for _, n := range names {
			switch {
			case !strings.HasPrefix(n.Key, prefix):
				return found, "", nil
			case skip != "" && strings.HasPrefix(n.Key, skip):
				continue
			case len(found) == folderSize:
				return found, after, nil
			}
			after, skip = n.Key, ""
			if inner, _, deeper := strings.Cut(n.Key[len(prefix):], "/"); deeper {
				skip, leaped = prefix+inner+"/", false
				after = skip + beyond
				n = feed.Name{Key: skip, Name: upTo(n.Name, strings.Count(skip, "/"))}
			}
			found = append(found, n)
		}
		// The loop skips a folder's contents in one leap, except where a database sorts
		// some characters after beyond.
		if last := names[len(names)-1].Key; skip == "" || leaped || !strings.HasPrefix(last, skip) {
			after = last
		}
		leaped = true
	}
}

// upTo returns the part of a name up to and including so many slashes.
func upTo(name string, slashes int) string {
	end := 0
	for range slashes {
		end += strings.IndexByte(name[end:], '/') + 1
	}
	return name[:end]
}

func (s *site) addEntry(ctx context.Context, view *folderView, f *proget.Feed, n feed.Name) error {
	if strings.HasSuffix(n.Key, "/") {
		short := strings.TrimSuffix(n.Name, "/")
		view.Entries = append(view.Entries, folderRow{Name: short[strings.LastIndexByte(short, '/')+1:] + "/", URL: folderURL(f, n.Name), Folder: true})
		return nil
	}
	p, err := s.Catalog.Package(ctx, f, n.Key)
	if errors.Is(err, proget.ErrNotFound) {
		return nil // the package was just deleted
	}
	if err != nil {
		return err
	}
	file := newest(p, true)
	row := folderRow{Name: n.Name[strings.LastIndexByte(n.Name, '/')+1:], URL: packageURL(f, cmp.Or(file.Name, n.Name), ""), Published: file.Published, Blocked: file.Status.Blocked}
	for _, part := range file.Files {
		row.Size += part.Size
	}
	view.Entries = append(view.Entries, row)
	return nil
}
