package publish_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestStatements lists what each operation asks of the database, in order. A
// transaction adds its beginning and its end: a publish is six round trips.
func TestStatements(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p := in.publisher(t)
	push := func(name, body string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.Publish(ctx, in.upload(name, strings.NewReader(body)))
			return err
		}
	}
	ref := feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}
	for _, op := range []struct {
		name string
		run  func(context.Context) error
		want string
	}{
		{"first version", push("a@1", "one"), "FindUpload BEGIN InsertFirstVersion InsertBlob AppendLog COMMIT"},
		{"next version", push("a@2", "two"), "FindUpload BEGIN InsertVersion InsertBlob AppendLog COMMIT"},
		{"bytes that are there", push("a@3", "two"), "FindUpload BEGIN InsertVersion ReuseBlob AppendLog COMMIT"},
		{"read", func(ctx context.Context) error {
			_, err := in.db.LoadPackage(ctx, in.feed.ID, "a")
			return err
		}, "LoadPackage"},
		{"unlist", func(ctx context.Context) error {
			return p.SetStatus(ctx, ref, ann, func(s *proget.Status) { s.Listed = false })
		}, "BEGIN FindVersion LockVersion ReadVersion SetVersionStatus AppendLog COMMIT"},
		{"delete", func(ctx context.Context) error { return p.Delete(ctx, ref, ann) },
			"BEGIN FindVersion LockVersion ReadVersion VersionBytes KeepDeletedVersion KeepDeletedTags KeepDeletedFiles TouchVersionBlobs DeleteVersionFiles DeleteVersion LockPackage DeleteEmptyPackage AppendLog COMMIT"},
	} {
		spans := tracetest.NewInMemoryExporter()
		ctx, end := sdk.NewTracerProvider(sdk.WithSyncer(spans)).Tracer("test").Start(t.Context(), op.name)
		require.NoError(t, op.run(ctx), op.name)
		end.End()
		require.Equal(t, op.want, statements(spans.GetSpans()), op.name)
	}
}

// statements returns the statements among spans in the order of time.
func statements(spans tracetest.SpanStubs) string {
	at := make(map[time.Time]string)
	for _, s := range spans {
		if name, ok := strings.CutPrefix(s.Name, "query "); ok {
			at[s.StartTime] = name
		}
		if s.Name == "transaction" {
			at[s.StartTime], at[s.EndTime] = "BEGIN", "COMMIT"
		}
	}
	var words []string
	for _, t := range slices.SortedFunc(maps.Keys(at), time.Time.Compare) {
		words = append(words, at[t])
	}
	return strings.Join(words, " ")
}
