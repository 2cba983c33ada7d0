package upload_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/proget/upload"
	"github.com/proget-go/ha/storage"
)

// TestLateCommit: a server that is cut off with its commit on the way finds the upload
// gone when it is back, and leaves alone what another has made of it.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	server := testenv.StartPostgres(t)
	late := testenv.StartLateCommits(t, server.Host())
	url := server.NewDatabase(t)
	open := func(url string) *db.Store {
		s, err := postgres.Open(t.Context(), url, &db.Options{Logger: dark})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	blobs := storage.NewSet(in.blobs, nil)
	a := upload.New(open(strings.Replace(url, server.Host(), late.Host(), 1)), blobs, in.keys, &upload.Options{Logger: dark})
	store := open(url)
	b := upload.New(store, blobs, in.keys, &upload.Options{Logger: dark})
	f := &proget.Feed{Name: "main", Type: "plain", Active: true}
	require.NoError(t, store.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), f) }))

	// cutOff has a begin what is committed, and b go on, before a can look.
	cutOff := func(begin func() error, goOn func()) {
		lost, done := late.Lost(), make(chan error, 1)
		late.CloseWithNext()
		go func() { done <- begin() }()
		require.Eventually(t, func() bool { return late.Lost() > lost }, 10*time.Second, time.Millisecond)
		goOn()
		late.Open()
		<-done
	}
	r, layer := feed.UploadRef{Feed: f, Scope: "repository", ID: rand.Text()}, feed.UploadRef{Feed: f, Scope: "blobs", ID: "layer"}
	require.NoError(t, b.Begin(t.Context(), r, ann))
	cutOff(func() error {
		_, err := a.Append(t.Context(), r, 0, strings.NewReader("a layer"))
		return err
	}, func() { require.NoError(t, b.Keep(t.Context(), r, layer, ann, nil, -1, nil)) })
	held, err := b.Held(t.Context(), layer)
	require.NoError(t, err)
	in.requireContent(t, storage.Blob{Key: held.StorageKey, Size: held.Size, Digests: held.Digests}, "a layer")

	p := publish.New(store, blobs, []feed.Type{{Name: "plain", NameKey: strings.ToLower, VersionKey: strings.ToLower,
		Inspect: func(context.Context, feed.File) (*feed.Manifest, error) {
			return &feed.Manifest{Name: "a", Version: "1", FileName: "a"}, nil
		}}}, &publish.Options{Logger: dark})
	r.ID = rand.Text()
	require.NoError(t, b.Begin(t.Context(), r, ann))
	require.NoError(t, b.PutPart(t.Context(), r, 3, 3, strings.NewReader("def")))
	require.NoError(t, b.PutPart(t.Context(), r, 0, 3, strings.NewReader("abc")))
	var stored storage.Blob
	cutOff(func() error {
		_, err := a.Finish(t.Context(), r, 6, nil)
		return err
	}, func() {
		stored, err = b.Finish(t.Context(), r, 6, nil)
		require.NoError(t, err)
		_, err = p.Publish(t.Context(), feed.Upload{Feed: f, Stored: &stored, By: ann})
		require.NoError(t, err)
		require.NoError(t, b.Cancel(t.Context(), r))
	})
	in.requireContent(t, stored, "abcdef")
}
