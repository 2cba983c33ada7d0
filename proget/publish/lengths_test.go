package publish_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

// TestLengths: what is too long for a database is refused on every database, with a
// sentence, and what is not is kept.
func TestLengths(t *testing.T) {
	t.Parallel()
	const wide = "𝄞" // two units of UTF-16, four bytes
	in := newInstallation(t, "mem:")
	typ := plain()
	typ.VersionKey = func(v string) string { return strings.ReplaceAll(v, "+", "....") }
	p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{typ}, &publish.Options{Logger: dark})
	for what, c := range map[string]struct {
		longest, longer string
		set             func(m *feed.Manifest, text string)
	}{
		"package's name": {strings.Repeat(wide, feed.MaxName/2), strings.Repeat(wide, feed.MaxName/2) + "x", func(m *feed.Manifest, text string) { m.Name = text }},
		"version":        {strings.Repeat("é", feed.MaxVersion), strings.Repeat("é", feed.MaxVersion+1), func(m *feed.Manifest, text string) { m.Version = text }},
		"version ":       {"+" + strings.Repeat("1", feed.MaxVersion-4), "+" + strings.Repeat("1", feed.MaxVersion-3), func(m *feed.Manifest, text string) { m.Version = text }},
		"file's name":    {strings.Repeat("ж", feed.MaxFileName), strings.Repeat("x", feed.MaxFileName+1), func(m *feed.Manifest, text string) { m.FileName = text }},
		"tag":            {strings.Repeat("t", feed.MaxTag), strings.Repeat("t", feed.MaxTag+1), func(m *feed.Manifest, text string) { m.Tags = []string{text} }},
	} {
		publish := func(text string) error {
			u := in.upload("of "+strings.TrimSpace(strings.ReplaceAll(what, "'", ""))+"@1", strings.NewReader(text))
			u.Check = func(m *feed.Manifest) error { c.set(m, text); return nil }
			_, err := p.Publish(t.Context(), u)
			return err
		}
		err := publish(c.longer)
		require.ErrorIs(t, err, proget.ErrInvalid, what)
		require.Contains(t, proget.Message(err), "The "+strings.TrimSpace(what)+" ")
		require.NoError(t, publish(c.longest), what)
	}
	_, err := p.Publish(t.Context(), in.upload("tagged@1", strings.NewReader("bytes")))
	require.NoError(t, err)
	require.ErrorIs(t, p.Tag(t.Context(), feed.Ref{Feed: in.feed, NameKey: "tagged", VersionKey: "1"}, strings.Repeat("t", feed.MaxTag+1), ann), proget.ErrInvalid)
	require.Len(t, in.objects(t), 6, "what was refused is gone")
}
